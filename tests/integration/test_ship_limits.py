"""`ship` when it cannot go on: the status says why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from datums.model import podpaths
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script
from tests.integration.ship_kit import Pods, ShipPod, wait_for, write
from tests.integration.ship_lines import Agent


def mounted(pod: ShipPod, size: str) -> Path:
    """The state volume as a file system of its own."""
    state = pod.at(podpaths.STATE)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", state], check=False)
    if mount.returncode:
        pytest.skip("needs to mount a file system")
    return state


def test_a_full_state_volume_is_told_and_waited_for(pods: Pods) -> None:
    pod = pods()
    for n in range(3000):
        write(pod, f"a-rather-long-directory-name/{n:04d}-{'x' * 100}", b"%d" % n)
    state = mounted(pod, "600k")
    try:
        with Agent() as agent:
            pod.agent_url = agent.url
            pod.write_secret(pod.server.keys["admin"])
            pod.start()
            pod.main_starts()
            pod.main_was_seen()
            pod.main_ends()
            wait_for(lambda: any("volumes fail" in report.trouble for report in agent.reports), what="the trouble to be told")
            assert not pod.at(podpaths.VERDICT).exists()
            subprocess.run(["mount", "-o", "remount,size=100m", state], check=True)
            assert pod.committed().outputs.files == 3000
        assert len(pod.contents()) == 3000
    finally:
        pod.close()
        subprocess.run(["umount", "-l", state], check=True)


def test_a_stuck_upload_is_named(pods: Pods) -> None:
    pod = pods()
    write(pod, "f", b"1")
    hole = Script([Fault(do="black-hole", method="PUT", path="/files/f", times=0)])
    with FaultProxy(pod.server.endpoint, hole) as proxy, Agent() as agent:
        pod.agent_url = agent.url
        pod.write_secret(pod.server.keys["admin"], msgspec.structs.replace(pod.access, endpoint=proxy.endpoint))
        pod.start()
        pod.main_starts()
        pod.main_was_seen()
        pod.main_ends()
        wait_for(lambda: any("/files/f: no byte since" in report.trouble for report in agent.reports), what="the object's name")
        pod.close()
