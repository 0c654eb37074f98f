"""What a running operator says of itself: health, metrics, the label of its pod, Events."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from datums.api.names import GROUP
from datums.control.app import Operator, StartError
from datums.control.kube import (
    EVENTS,
    EXECUTIONS,
    PODS,
    SERVICES,
    Kube,
)
from datums.control.ownpod import LABEL_LEADER
from datums.control.resources import Resource
from tests.integration.kube_fixture import eventually, quick, running
from tests.integration.machinery_kit import Seen, execution, leaseholder, satisfied


async def test_health_readiness_and_metrics(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    base = f"http://127.0.0.1:{operator.settings.metrics_port}"
    async with aiohttp.ClientSession() as http:
        for path in ("healthz", "readyz"):
            async with http.get(f"{base}/{path}") as answer:
                assert (answer.status, await answer.text()) == (200, "ok\n")
        async with http.get(f"{base}/metrics") as answer:
            text = await answer.text()
    for name in operator.metrics.TABLE:
        assert f"# HELP {name.removesuffix('_total')}" in text, name
    assert "process_resident_memory_bytes" in text
    assert "datums_leader 1.0" in text


async def test_the_lease_watch_is_the_sign_of_life(watched: tuple[Operator, Seen]) -> None:
    operator, _ = watched
    await asyncio.sleep(2)
    first = operator._signs_of_life
    await asyncio.sleep(1.5)
    assert operator._signs_of_life is not None and first is not None and operator._signs_of_life > first
    operator._signs_of_life -= 200
    assert operator.dead().startswith("no event of the Lease for 200 s")


async def test_a_standby_is_ready_and_takes_no_reports(control_plane: Any, watched: tuple[Operator, Seen], namespace: str) -> None:
    settings = quick(namespace, str(control_plane.kubeconfig), pod_name="operator-1")
    stop = asyncio.Event()
    async with await Kube.connect(settings.kubeconfig) as kube:
        standby = Operator(kube, settings, type(watched[0].metrics)(), make=Seen().make)
        task = asyncio.create_task(standby.run(stop))
        await eventually(lambda: satisfied(standby.unready() == "" and standby.dead() == ""), 5)
        assert not standby.working.is_set()
        async with aiohttp.ClientSession() as http, http.post(f"http://127.0.0.1:{settings.agent_port}/v1/report") as answer:
            assert answer.status == 503
        stop.set()
        await asyncio.wait_for(task, 5)


async def test_without_the_kinds_it_says_what_to_install(
    control_plane: Any, kube: Kube, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Resource(GROUP, "v0", "executions", "Execution")
    monkeypatch.setattr("datums.control.sweeper._SELECTORS", {missing: ""})
    with pytest.raises(StartError, match=r"are not installed .* apply crds/"):
        async with running(quick(namespace, str(control_plane.kubeconfig)), make=Seen().make):
            pass


async def test_the_leader_labels_its_pod_and_gives_the_services_address(control_plane: Any, kube: Kube, namespace: str) -> None:
    spec = {"containers": [{"name": "operator", "image": "x"}], "automountServiceAccountToken": False}
    await kube.create(PODS, namespace, {"metadata": {"name": "operator-0", "labels": {LABEL_LEADER: "true"}}, "spec": spec})
    service = {"metadata": {"name": "agent"}, "spec": {"selector": {LABEL_LEADER: "true"}, "ports": [{"port": 8081}]}}
    address = (await kube.create(SERVICES, namespace, service))["spec"]["clusterIP"]
    async with running(quick(namespace, str(control_plane.kubeconfig), agent_service="agent"), make=Seen().make) as operator:
        assert operator.services.agent_url == f"http://{address}:8081"
        pod_ = await kube.get(PODS, namespace, "operator-0")
        assert pod_["metadata"]["labels"] == {LABEL_LEADER: "true"}
        assert await leaseholder(kube, namespace) == f"operator-0_{pod_['metadata']['uid']}"
    assert not (await kube.get(PODS, namespace, "operator-0"))["metadata"].get("labels")


async def test_the_same_event_is_counted_not_repeated(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    for _ in range(3):
        operator.services.recorder.event(made, "Warning", "StoreNotReady", "the store is away. " * 100)
    operator.services.recorder.event(made, "Normal", "Committed", "3 files")
    await operator.services.recorder.flush(5)
    events = await kube.list(EVENTS, namespace, field_selector=f"involvedObject.uid={made['metadata']['uid']}")
    assert {(e["type"], e["reason"], e["count"]) for e in events} == {("Warning", "StoreNotReady", 3), ("Normal", "Committed", 1)}
    assert all(len(e["message"]) <= 1024 for e in events)
