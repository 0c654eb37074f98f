"""`python3 -m testbed …`: the commands behind the targets of testbed.mk."""

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed import binaries, cluster, control_plane, images, s3
from testbed.control_plane import ControlPlane
from testbed.errors import SetupError
from testbed.layout import HOME
from testbed.lock import locked

ONE_AT_A_TIME = ("up", "down", "images", "s3", "binaries")


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if takes_current_cluster() and options.command in ("up", "down", "status", "check-clean"):
        print(f"CLUSTER=current: the cluster that KUBECONFIG names is taken as it is; `{options.command}` has nothing to do")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what this run has started, as Ctrl-C does
    try:
        with locked(HOME / "lock") if options.command in ONE_AT_A_TIME else contextlib.nullcontext():
            return run(options)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; run the same again to go on, or `make cluster-down`", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python3 -m testbed", description="A real Kubernetes on this machine.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the cluster up, or see that it is")
    down = commands.add_parser("down", help="end the cluster and remove what it made on the machine")
    down.add_argument("--purge", action="store_true", help="remove .testbed too")
    commands.add_parser("status", help="what of the cluster runs")
    commands.add_parser("check-clean", help="compare the machine with how it was before the cluster")
    commands.add_parser("images", help="build the base, test and project images and load them into the cluster")
    commands.add_parser("binaries", help="the programs alone: hyperkube, kubectl, helm (needs no root)")
    plane = commands.add_parser("control-plane", help="etcd and an API server on loopback (needs no root)")
    plane.add_argument("action", choices=["up", "down"])
    plane.add_argument("--dir", type=Path, required=True, help="where keys, data, logs and kubeconfig go")
    plane.add_argument("--port-base", type=int, help="the API server's port; three more follow (default: free ones)")
    plane.add_argument("--with-controller-manager", action="store_true", help="garbage collection, service accounts")
    s3_command = commands.add_parser("s3", help="the S3 server in the cluster: deployed if needed, then told")
    s3_command.add_argument("--format", choices=["text", "json"], default="text")
    s3_command.add_argument("--bucket", action="append", help=f"a bucket to make (default: {', '.join(s3.DEFAULT_BUCKETS)})")
    return top


def run(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            print(f"export KUBECONFIG={cluster.up()}")
        case "down":
            cluster.purge() if options.purge else cluster.down()
        case "status":
            print("\n".join(cluster.status()))
        case "check-clean":
            cluster.check_clean()
            print("the machine is as it was before the cluster")
        case "binaries":
            for make in (binaries.hyperkube, binaries.kubectl, binaries.helm):
                make()
        case "control-plane" if options.action == "up":
            plane = ControlPlane(options.dir, options.port_base, with_controller_manager=options.with_controller_manager)
            plane.start()
            print(f"export KUBECONFIG={plane.kubeconfig}")
        case "control-plane":
            control_plane.stop(options.dir)
        case "images":
            image = os.environ.get("IMAGE") or images.DEFAULT_IMAGE
            if image != images.DEFAULT_IMAGE and takes_current_cluster():
                print(f"IMAGE={image} is taken as it is: nothing is built or loaded")
            else:
                print("images: " + ", ".join(images.load_images(image, takes_current_cluster())))
        case "s3":
            told = s3.deploy(takes_current_cluster(), options.bucket or s3.DEFAULT_BUCKETS)
            lines = [json.dumps(told)] if options.format == "json" else [f"{key:<13} {value}" for key, value in told.items()]
            print("\n".join(lines))
    return 0


def takes_current_cluster() -> bool:
    """Whether the cluster is the one that KUBECONFIG names, not the testbed's."""
    return os.environ.get("CLUSTER", "testbed") == "current"


if __name__ == "__main__":
    sys.exit(main())
