"""The agent endpoint on a real API server: whose reports are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from datums.control.app import Operator
from datums.control.kube import (
    EXECUTIONS,
    PODS,
    Kube,
)
from tests.integration.kube_fixture import eventually
from tests.integration.machinery_kit import Seen, execution, pod, satisfied, token_of

Send = Callable[..., Any]


async def test_a_pods_report_is_taken_and_only_a_pods(
    watched: tuple[Operator, Seen], kube: Kube, namespace: str, account: None
) -> None:
    operator, seen = watched
    url = f"http://127.0.0.1:{operator.settings.agent_port}/v1/report"
    made = await kube.create(EXECUTIONS, namespace, execution())
    ours = pod("ours", made)
    ours["spec"]["serviceAccountName"] = "default"
    ours = await kube.create(PODS, namespace, ours)
    foreign = pod("foreign", made)
    foreign["metadata"]["labels"] = {}
    foreign["spec"]["serviceAccountName"] = "default"
    foreign = await kube.create(PODS, namespace, foreign)
    uid = ours["metadata"]["uid"]
    await eventually(lambda: satisfied(operator.services.cache.pods.named(uid)), 5)
    good = await token_of(kube, namespace, ours)
    async with aiohttp.ClientSession() as http:

        async def send(token: str, body: Any) -> int:
            async with http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
                return answer.status

        report = {"phase": "Downloading", "files": 3, "bytes": 4096}
        assert await send(good, report) == 204
        taken, _ = operator.services.progress[uid]
        assert (taken.phase, taken.files, taken.bytes) == ("Downloading", 3, 4096)
        await eventually(lambda: satisfied(not len(operator.services.queue)), 2)
        before = seen.count("train")
        for n in range(20):
            assert await send(good, {**report, "files": n}) == 204
        await asyncio.sleep(1.5)
        assert seen.count("train") - before <= 3, "asked for more than about once a second"
        before = seen.count("train")
        assert await send(good, {"phase": "Committed"}) == 204
        await eventually(lambda: satisfied(seen.count("train") > before), 0.5)

        assert await send(good, {"phase": "Flying"}) == 400
        assert await send(good, {"phase": "Running", "files": -1}) == 400
        assert await send(good, {"phase": "Running", "trouble": "x" * 20_000}) == 413
        assert await send("nonsense", report) == 401
        assert await send(await token_of(kube, namespace, None), report) == 401
        assert await send(await token_of(kube, namespace, ours, "another"), report) == 401
        assert await send(await token_of(kube, namespace, foreign), report) == 403
        reviews = operator.metrics.registry.get_sample_value(
            "datums_api_requests_total", {"verb": "POST", "resource": "tokenreviews", "status": "201"}
        )
        assert reviews == 5, "one review for each token, however often it is used"


async def test_reports_of_a_pod_go_with_it(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    ours = await kube.create(PODS, namespace, pod("ours", made))
    uid = ours["metadata"]["uid"]
    await eventually(lambda: satisfied(operator.services.cache.pods.named(uid)), 5)
    operator.services.progress[uid] = (None, 0.0)  # type: ignore[assignment]
    await kube.delete(PODS, namespace, "ours", grace=0)
    await eventually(lambda: satisfied(uid not in operator.services.progress), 5)
