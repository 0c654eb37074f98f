"""The Lease on a real API server: who leads, and who follows."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from datums.control.kube import (
    LEASES,
    Kube,
)
from datums.control.leader import Elector, LeaseLost, LeaseTimes
from tests.integration.kube_fixture import eventually, free_port
from tests.integration.machinery_kit import leaseholder

TIMES = LeaseTimes(lease=3.0, renew=2.0, retry=0.2)


def elector(kube: Kube, namespace: str) -> Elector:
    return Elector(kube, namespace, "datums-operator", times=TIMES)


async def test_one_leads_the_other_takes_over_at_once_when_it_is_released(kube: Kube, namespace: str) -> None:
    first, second = elector(kube, namespace), elector(kube, namespace)
    await first.acquire("first")
    waiting = asyncio.create_task(second.acquire("second"))
    holding = asyncio.create_task(first.hold())
    await asyncio.sleep(TIMES.lease + 1)
    assert first.leads() and not waiting.done()
    holding.cancel()
    await first.release()
    started = time.monotonic()
    await asyncio.wait_for(waiting, 2)
    assert time.monotonic() - started < 1
    assert second.leads() and not first.leads()
    assert (await kube.get(LEASES, namespace, "datums-operator"))["spec"]["leaseTransitions"] == 1


async def test_a_silent_leader_is_followed_after_the_lease_time_and_knows_it(kube: Kube, namespace: str) -> None:
    first, second = elector(kube, namespace), elector(kube, namespace)
    await first.acquire("first")
    await asyncio.sleep(1)
    started = time.monotonic()
    await asyncio.wait_for(second.acquire("second"), TIMES.lease + 2)
    assert time.monotonic() - started >= TIMES.lease - 0.1
    assert not first.leads()
    with pytest.raises(LeaseLost, match="was not renewed for 2 s"):
        await asyncio.wait_for(first.hold(), 2)


async def test_a_leader_whose_lease_is_taken_away_ends_at_its_next_look(kube: Kube, namespace: str) -> None:
    first = elector(kube, namespace)
    await first.acquire("first")
    await kube.patch(LEASES, namespace, "datums-operator", {"spec": {"holderIdentity": "second"}})
    with pytest.raises(LeaseLost, match="is held by second"):
        await asyncio.wait_for(first.hold(), 1)
    assert not first.leads()


async def test_a_process_restarted_in_the_same_pod_goes_on_at_once(kube: Kube, namespace: str) -> None:
    await elector(kube, namespace).acquire("pod-1_uid")
    await asyncio.wait_for(elector(kube, namespace).acquire("pod-1_uid"), 1)


async def test_of_many_that_want_it_at_once_one_gets_it(kube: Kube, namespace: str) -> None:
    all_ = [elector(kube, namespace) for _ in range(8)]
    tasks = [asyncio.create_task(each.acquire(f"e{n}")) for n, each in enumerate(all_)]
    await asyncio.sleep(1)
    assert sum(each.leads() for each in all_) == 1
    for task in tasks:
        task.cancel()


async def test_an_edit_of_the_lease_by_somebody_is_survived(kube: Kube, namespace: str) -> None:
    first = elector(kube, namespace)
    await first.acquire("first")
    holding = asyncio.create_task(first.hold())
    for n in range(3):
        await kube.patch(LEASES, namespace, "datums-operator", {"metadata": {"annotations": {"n": str(n)}}})
        await asyncio.sleep(0.3)
    assert first.leads() and not holding.done()
    holding.cancel()


async def test_a_killed_leader_is_followed_by_the_other_process(
    control_plane: Any, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    processes = [await _start(control_plane, namespace, tmp_path, n) for n in range(2)]
    try:
        holder = await eventually(lambda: leaseholder(kube, namespace), 20)
        leader = int(holder.removeprefix("operator-")[0])
        processes[leader].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        await eventually(lambda: _followed(kube, namespace, holder), 10)
        assert time.monotonic() - killed < 3 + 2
        other = processes[1 - leader]
        other.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(other.wait(), 10) == 0
        lease = await kube.get(LEASES, namespace, "datums-operator")
        assert not lease["spec"].get("holderIdentity")
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_leader_that_was_frozen_ends_when_it_wakes(control_plane: Any, kube: Kube, namespace: str, tmp_path: Path) -> None:
    process = await _start(control_plane, namespace, tmp_path, 0)
    try:
        holder = await eventually(lambda: leaseholder(kube, namespace), 20)
        process.send_signal(signal.SIGSTOP)
        await asyncio.wait_for(elector(kube, namespace).acquire("other"), 10)
        process.send_signal(signal.SIGCONT)
        assert await asyncio.wait_for(process.wait(), 10) == 1
        assert "the operator ends: the Lease" in (tmp_path / "operator-0.log").read_text()
        assert holder.startswith("operator-0")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _start(control_plane: Any, namespace: str, directory: Path, number: int) -> asyncio.subprocess.Process:
    environ = {
        **os.environ,
        "DATUMS_KUBECONFIG": str(control_plane.kubeconfig),
        "DATUMS_NAMESPACES": namespace,
        "DATUMS_NAMESPACE": namespace,
        "DATUMS_POD_NAME": f"operator-{number}",
        "DATUMS_LEASE_SECONDS": "3",
        "DATUMS_LEASE_RENEW_SECONDS": "2",
        "DATUMS_LEASE_RETRY_SECONDS": "0.3",
        "DATUMS_METRICS_PORT": str(free_port()),
        "DATUMS_AGENT_PORT": str(free_port()),
        "DATUMS_LOG_FORMAT": "text",
    }
    with (directory / f"operator-{number}.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "datums.cli", "operator", "--bind-address", "127.0.0.1", env=environ, stdout=log, stderr=log
        )


async def _followed(kube: Kube, namespace: str, before: str) -> bool:
    return await leaseholder(kube, namespace) not in ("", before)
