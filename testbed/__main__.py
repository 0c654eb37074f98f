"""`python3 -m testbed …`: the commands behind the targets of testbed.mk."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed import binaries, cluster, control_plane, images
from testbed.control_plane import ControlPlane
from testbed.errors import SetupError


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if takes_current_cluster() and options.command in ("up", "down", "status", "check-clean"):
        print(f"CLUSTER=current: the cluster that KUBECONFIG names is taken as it is; there is nothing to do for `{options.command}`")
        return 0
    try:
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
    commands.add_parser("images", help="build the base, test and project images and load them into the cluster")
    commands.add_parser("binaries", help="the programs alone: hyperkube, kubectl, helm (needs no root)")
    plane = commands.add_parser("control-plane", help="etcd and an API server on loopback (needs no root)")
    plane.add_argument("action", choices=["up", "down"])
    plane.add_argument("--dir", type=Path, required=True, help="where keys, data, logs and kubeconfig go")
    plane.add_argument("--port-base", type=int, help="the API server's port; three more follow (default: free ones)")
    plane.add_argument("--with-controller-manager", action="store_true", help="garbage collection, service accounts")
    return top


def run(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            print(f"export KUBECONFIG={cluster.up()}")
        case "down":
            cluster.down(purge=options.purge)
        case "status":
            print("\n".join(cluster.status()))
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
    return 0


def takes_current_cluster() -> bool:
    """Whether the cluster is the one that KUBECONFIG names, not the testbed's."""
    return os.environ.get("CLUSTER", "testbed") == "current"


if __name__ == "__main__":
    sys.exit(main())
