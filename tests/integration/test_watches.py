"""Watches, cache and sweeper on a real API server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from datums.control.app import Operator
from datums.control.kube import (
    EXECUTIONS,
    PODS,
    Kube,
)
from datums.control.queue import Key
from datums.control.services import Reconcile, Services
from tests.integration.kube_fixture import eventually, quick, running
from tests.integration.machinery_kit import Seen, execution, pod, satisfied


async def test_changes_reach_the_reconciler_and_the_cache(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, seen = watched
    cache = operator.services.cache
    made = await kube.create(EXECUTIONS, namespace, execution())
    await eventually(lambda: satisfied(seen.count("train") >= 1), 5)
    assert "managedFields" not in cache.executions[namespace, "train"]["metadata"]
    before = seen.count("train")
    await kube.create(PODS, namespace, pod("train-1", made))
    await eventually(lambda: satisfied(seen.count("train") > before), 5)
    assert [view.name for view in cache.pods_of(made["metadata"]["uid"])] in (["train-1"], [])
    before = seen.count("train")
    await kube.patch(PODS, namespace, "train-1", {"status": {"phase": "Running"}}, subresource="status")
    await eventually(lambda: satisfied(seen.count("train") > before), 5)
    before = seen.count("train")
    await kube.delete(PODS, namespace, "train-1", grace=0)
    await eventually(lambda: satisfied(not cache.pods and seen.count("train") > before), 5)
    await kube.delete(EXECUTIONS, namespace, "train")
    await eventually(lambda: satisfied(not cache.executions), 5)


async def test_pods_of_others_are_never_sent(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    foreign = pod("foreign", made)
    foreign["metadata"]["labels"] = {}
    await kube.create(PODS, namespace, foreign)
    await kube.create(PODS, namespace, pod("ours", made))
    await eventually(lambda: satisfied((namespace, "ours") in operator.services.cache.pods), 5)
    assert (namespace, "foreign") not in operator.services.cache.pods


async def test_a_sweep_drops_ghosts_and_asks_for_their_owner(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, seen = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    await eventually(lambda: satisfied(seen.count("train") >= 1), 5)
    ghost = await kube.create(PODS, namespace, pod("ghost", made), dry_run=True)
    ghost["metadata"] |= {"uid": "0-0", "resourceVersion": "1"}
    operator.services.cache.pods.put(ghost)
    before = seen.count("train")
    await eventually(lambda: satisfied((namespace, "ghost") not in operator.services.cache.pods), 10)
    await eventually(lambda: satisfied(seen.count("train") > before), 5)
    assert b'datums_ghosts_total{kind="Pod"} 1.0' in operator.metrics.exposition()


async def test_what_was_there_before_the_start_is_known_before_the_first_work(
    control_plane: Any, kube: Kube, namespace: str
) -> None:
    made = await kube.create(EXECUTIONS, namespace, execution())
    await kube.create(PODS, namespace, pod("train-1", made))
    pods: list[int] = []

    def make(services: Services) -> Mapping[str, Reconcile]:
        async def reconcile(key: Key) -> float | None:
            pods.append(len(services.cache.pods_of(made["metadata"]["uid"])))
            return None

        return {"Execution": reconcile, "DataStore": reconcile}

    async with running(quick(namespace, str(control_plane.kubeconfig)), make=make):
        await eventually(lambda: satisfied(pods), 5)
    assert set(pods) == {1}


async def test_a_failing_reconciliation_comes_again_and_the_worker_lives(control_plane: Any, kube: Kube, namespace: str) -> None:
    calls: list[float] = []

    def make(_: Services) -> Mapping[str, Reconcile]:
        async def reconcile(key: Key) -> float | None:
            calls.append(time.monotonic())
            if len(calls) < 4:
                raise ValueError("broken")
            return None

        return {"Execution": reconcile, "DataStore": reconcile}

    async with running(quick(namespace, str(control_plane.kubeconfig), workers=1), make=make) as operator:
        await kube.create(EXECUTIONS, namespace, execution())
        await eventually(lambda: satisfied(len(calls) >= 4), 10)
        assert b'datums_reconcile_total{kind="Execution",result="error"} 3.0' in operator.metrics.exposition()


async def test_cluster_mode_sees_every_namespace(control_plane: Any, kube: Kube, namespace: str) -> None:
    seen = Seen()
    settings = quick(namespace, str(control_plane.kubeconfig), namespaces=())
    async with running(settings, make=seen.make):
        await kube.create(EXECUTIONS, "default", execution(f"far-{namespace}"))
        await eventually(lambda: satisfied(seen.count(f"far-{namespace}")), 5)
    await kube.delete(EXECUTIONS, "default", f"far-{namespace}")
