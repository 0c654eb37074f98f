"""Kills real processes of the testbed's containers, from the node: containers are processes of this machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

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


def kill_operator() -> None:
    """SIGKILLs every replica of the operator."""
    _need_node()
    pids = eventually(
        "an operator process runs", lambda: [pid for pid, cg in _processes("datums operator") if "kubepods" in cg], 60
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
