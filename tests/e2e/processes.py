"""Kills real processes of the testbed's containers, from the node: containers are processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from demo.operator import SYSTEM
from tests.e2e.kit import eventually


def _processes(needle: str) -> list[tuple[int, str]]:
    """(pid, cgroups) of every process whose command line has `needle`."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            command = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if needle in command:
                found.append((int(proc.name), (proc / "cgroup").read_text()))
        except OSError:
            continue
    return found


def _need_node() -> None:
    if os.environ.get("CLUSTER") == "current":
        pytest.skip("kills processes on the node: needs the testbed's own node, not CLUSTER=current")


def kill_process_of(pod: dict[str, Any], needle: str) -> None:
    """SIGKILLs the process of a pod whose command line has `needle`."""
    _need_node()
    uid = pod["metadata"]["uid"]
    pids = [pid for pid, cgroups in _processes(needle) if uid in cgroups or uid.replace("-", "_") in cgroups]
    assert pids, f"no process {needle!r} of pod {pod['metadata']['name']} on this machine"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def kill_operator(namespace: str = SYSTEM) -> None:
    """SIGKILLs every replica of the operator. The pods are then replaced: the kubelet would make each restart wait longer."""
    _need_node()
    core = client.CoreV1Api()
    selector = "app.kubernetes.io/name=datums"

    def running() -> list[tuple[int, str]]:
        uids = {pod.metadata.uid: pod.metadata.name for pod in core.list_namespaced_pod(namespace, label_selector=selector).items}
        found = [(pid, uid) for pid, cgroups in _processes("datums operator") for uid in uids if uid in cgroups]
        return [(pid, uids[uid]) for pid, uid in found]

    for pid, pod in eventually("an operator process runs", running, 60):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(client.ApiException):
            core.delete_namespaced_pod(pod, namespace, grace_period_seconds=0)


@contextlib.contextmanager
def unreachable(address: str, port: int) -> Iterator[None]:
    """Within, the node resets every connection of pods to this address, also those that are open."""
    _need_node()
    rule = ["FORWARD", "-d", address, "-p", "tcp", "--dport", str(port), "-j", "REJECT", "--reject-with", "tcp-reset"]
    subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-D", *rule], check=True)
