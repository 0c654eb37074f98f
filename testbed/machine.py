"""Whether this machine can carry what is asked of it, said in a sentence before anything is changed."""

import contextlib
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from testbed.errors import SetupError

GIB = 1 << 30
CONTROL_PLANE_HINT = (
    "the API server and etcd alone, which the integration tests use, need neither: python3 -m testbed control-plane up"
)


def check_can_run_node() -> None:
    """Raises when this machine cannot be a node."""
    if platform.system() != "Linux":
        raise SetupError(
            f"a node needs Linux and this is {platform.system()}: use a cluster of your own "
            f"(CLUSTER=current with KUBECONFIG set, such as kind or minikube); {CONTROL_PLANE_HINT}"
        )
    if os.geteuid() != 0:
        raise SetupError(
            "a node needs root (it makes mounts, cgroups and a network bridge): run as root (sudo make cluster), or "
            f"CLUSTER=current with a cluster of your own; {CONTROL_PLANE_HINT}"
        )


def check_disk(directory: Path, needed: int, purpose: str) -> None:
    """Raises when fewer than `needed` bytes are free where `directory` is or will be."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SetupError(
            f"{purpose} needs {needed / GIB:.1f} GiB on the disk of {existing} and {free / GIB:.1f} GiB are free: "
            "make room there and run this again"
        )


def check_port_free(address: str, port: int, purpose: str) -> None:
    """Raises, with the process that has it, when nothing can listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise SetupError(
                f"{purpose} cannot listen on {address}:{port}: {listener(port) or error.strerror}. "
                "End that process and run this again"
            ) from error


def listener(port: int) -> str:
    """`"NAME (pid N) listens there"`, or "" when it cannot be told."""
    if not shutil.which("ss"):
        return ""
    done = subprocess.run(["ss", "-Hltnp", f"sport = :{port}"], capture_output=True, text=True, check=False)
    found = re.search(r'users:\(\("([^"]+)",pid=(\d+)', done.stdout)
    return f"{found[1]} (pid {found[2]}) listens there" if found else ""


def free_ports(count: int, also: int = 0) -> list[int]:
    """Ports of loopback that nobody listens on now, all different; `also`: the port that much above is free too.

    They lie below those that the kernel gives to outgoing connections, so that nothing takes them in between.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in range(16_000 + secrets.randbelow(4_000), 22_000):
            with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
                for candidate in {port, port + also}:
                    probe = probes.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", candidate))
                held.push(probes.pop_all())
                found.append(port)
            if len(found) == count:
                return found
    raise SetupError("no ports are free on 127.0.0.1 between 16000 and 22000: end the processes that listen there")
