"""The control machinery on a real API server: the seam, the watches, the Lease, the sweeper, the agent endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.config import incluster_config

from datums.api.names import AUDIENCE, GROUP, LABEL_MANAGED_BY, MANAGED_BY
from datums.control.app import Operator, StartError
from datums.control.kube import (
    EVENTS,
    EXECUTIONS,
    LEASES,
    PODS,
    SECRETS,
    SERVICES,
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    Kube,
    NotFound,
    Obj,
    Unauthorized,
    Unavailable,
)
from datums.control.leader import Elector, LeaseLost, LeaseTimes
from datums.control.ownpod import LABEL_LEADER
from datums.control.queue import Key
from datums.control.resources import Resource
from datums.control.services import Reconcile, Services
from tests.integration.kube_fixture import eventually, free_port, quick, running

TIMES = LeaseTimes(lease=3.0, renew=2.0, retry=0.2)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")


def execution(name: str = "train") -> Obj:
    return {
        "apiVersion": EXECUTIONS.api_version,
        "kind": "Execution",
        "metadata": {"name": name},
        "spec": {"image": "datums-testbed/python:3", "command": "true"},
    }


def pod(name: str, owner: Obj) -> Obj:
    reference = {
        "apiVersion": EXECUTIONS.api_version,
        "kind": "Execution",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}, "ownerReferences": [reference]},
        "spec": {"containers": [{"name": "main", "image": "datums-testbed/python:3"}], "automountServiceAccountToken": False},
    }


class Seen:
    """A reconciler that writes down what it is asked for."""

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.services: Services | None = None

    def make(self, services: Services) -> Mapping[str, Reconcile]:
        self.services = services
        return {"Execution": self.reconcile, "DataStore": self.reconcile}

    async def reconcile(self, key: Key) -> float | None:
        self.keys.append(key)
        return None

    def count(self, name: str) -> int:
        return sum(key.name == name for key in self.keys)


@pytest.fixture
async def watched(control_plane: Any, kube: Kube, namespace: str) -> AsyncIterator[tuple[Operator, Seen]]:
    seen = Seen()
    async with running(quick(namespace, str(control_plane.kubeconfig)), make=seen.make) as operator:
        yield operator, seen


# --- the seam


async def test_every_refusal_has_its_type_and_says_what_was_asked(kube: Kube, namespace: str) -> None:
    with pytest.raises(NotFound, match=f'GET Secret {namespace}/none: secrets "none" not found'):
        await kube.get(SECRETS, namespace, "none")
    made = await kube.create(SECRETS, namespace, {"metadata": {"name": "one"}})
    with pytest.raises(AlreadyExists):
        await kube.create(SECRETS, namespace, {"metadata": {"name": "one"}})
    with pytest.raises(Conflict):
        await kube.delete(SECRETS, namespace, "one", uid="another")
    with pytest.raises(Conflict):
        await kube.patch(SECRETS, namespace, "one", {"metadata": {"resourceVersion": "1"}, "stringData": {"a": "b"}})
    with pytest.raises(Invalid, match=r"spec\.image"):
        await kube.create(EXECUTIONS, namespace, {**execution(), "spec": {"command": "true"}})
    assert (await kube.create(SECRETS, namespace, {"metadata": {"name": "dry"}}, dry_run=True))["metadata"]["name"] == "dry"
    with pytest.raises(NotFound):
        await kube.get(SECRETS, namespace, "dry")
    await kube.delete(SECRETS, namespace, "one", uid=made["metadata"]["uid"])


async def test_a_list_comes_in_chunks_and_whole(kube: Kube, namespace: str) -> None:
    for n in range(7):
        await kube.create(SECRETS, namespace, {"metadata": {"name": f"s{n}", "labels": {"odd": str(n % 2)}}})
    assert len(await kube.list(SECRETS, namespace, limit=2)) == 7
    odd = await kube.list(SECRETS, namespace, label_selector="odd=1", limit=2)
    assert [(s["kind"], s["metadata"]["name"]) for s in odd] == [("Secret", f"s{n}") for n in (1, 3, 5)]


async def test_metadata_only_leaves_the_content_of_a_secret_on_the_server(kube: Kube, namespace: str) -> None:
    await kube.create(SECRETS, namespace, {"metadata": {"name": "s"}, "stringData": {"key": "value"}})
    partial = await kube.get(SECRETS, namespace, "s", metadata_only=True)
    assert "data" not in partial
    assert partial["metadata"]["resourceVersion"]


async def test_apply_takes_back_what_it_no_longer_says_and_leaves_what_others_say(kube: Kube, namespace: str) -> None:
    await kube.create(SECRETS, namespace, {"metadata": {"name": "s", "labels": {"theirs": "1"}}})
    await kube.apply(SECRETS, namespace, "s", {"metadata": {"labels": {"ours": "1", "old": "1"}}})
    applied = await kube.apply(SECRETS, namespace, "s", {"metadata": {"labels": {"ours": "2"}}})
    assert applied["metadata"]["labels"] == {"theirs": "1", "ours": "2"}


async def test_a_server_that_is_not_there_is_unavailable_after_bounded_retries(control_plane: Any, tmp_path: Path) -> None:
    text = Path(control_plane.kubeconfig).read_text()
    here = (await _server(control_plane)).rsplit(":", 1)[1]
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(text.replace(f":{here}", f":{free_port()}"))
    started = time.monotonic()
    async with await Kube.connect(str(elsewhere)) as kube:
        with pytest.raises(Unavailable, match="no answer from https://127"):
            await kube.get(SECRETS, "default", "x")
    assert 1 < time.monotonic() - started < 10


async def _server(control_plane: Any) -> str:
    async with await Kube.connect(str(control_plane.kubeconfig)) as kube:
        return (await kube.connection()).server


async def test_a_pod_uses_its_service_account_and_its_renewed_token(
    control_plane: Any, kube: Kube, namespace: str, account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await kube.connection()
    token = tmp_path / "token"
    token.write_text("not-a-token-any-more")
    certificate = tmp_path / "ca.crt"
    certificate.write_bytes(Path(str(server.ca_file)).read_bytes())
    host, port = server.server.removeprefix("https://").split(":")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(certificate))
    # The client reads the file again once a minute.
    monkeypatch.setattr(incluster_config.datetime, "timedelta", lambda **_: timedelta(0))
    async with await Kube.connect() as pod_:
        with pytest.raises(Unauthorized):
            await pod_.get(SECRETS, namespace, "x")
        token.write_text(await _token(kube, namespace, None, "https://kubernetes.default.svc"))
        with pytest.raises(Forbidden, match=f"system:serviceaccount:{namespace}:default"):
            await pod_.get(SECRETS, namespace, "x")
        assert (await pod_.connection()).token == token.read_text(), "what the watches are given"


# --- watches, cache, sweeper


async def test_changes_reach_the_reconciler_and_the_cache(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, seen = watched
    cache = operator.services.cache
    made = await kube.create(EXECUTIONS, namespace, execution())
    await eventually(lambda: _true(seen.count("train") >= 1), 5)
    assert "managedFields" not in cache.executions[namespace, "train"]["metadata"]
    before = seen.count("train")
    await kube.create(PODS, namespace, pod("train-1", made))
    await eventually(lambda: _true(seen.count("train") > before), 5)
    assert [view.name for view in cache.pods_of(made["metadata"]["uid"])] in (["train-1"], [])
    before = seen.count("train")
    await kube.patch(PODS, namespace, "train-1", {"status": {"phase": "Running"}}, subresource="status")
    await eventually(lambda: _true(seen.count("train") > before), 5)
    before = seen.count("train")
    await kube.delete(PODS, namespace, "train-1", grace=0)
    await eventually(lambda: _true(not cache.pods and seen.count("train") > before), 5)
    await kube.delete(EXECUTIONS, namespace, "train")
    await eventually(lambda: _true(not cache.executions), 5)


async def test_pods_of_others_are_never_sent(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    foreign = pod("foreign", made)
    foreign["metadata"]["labels"] = {}
    await kube.create(PODS, namespace, foreign)
    await kube.create(PODS, namespace, pod("ours", made))
    await eventually(lambda: _true((namespace, "ours") in operator.services.cache.pods), 5)
    assert (namespace, "foreign") not in operator.services.cache.pods


async def test_a_sweep_drops_ghosts_and_asks_for_their_owner(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, seen = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    await eventually(lambda: _true(seen.count("train") >= 1), 5)
    ghost = await kube.create(PODS, namespace, pod("ghost", made), dry_run=True)
    ghost["metadata"] |= {"uid": "0-0", "resourceVersion": "1"}
    operator.services.cache.pods.put(ghost)
    before = seen.count("train")
    await eventually(lambda: _true((namespace, "ghost") not in operator.services.cache.pods), 10)
    await eventually(lambda: _true(seen.count("train") > before), 5)
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
        await eventually(lambda: _true(pods), 5)
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
        await eventually(lambda: _true(len(calls) >= 4), 10)
        assert b'datums_reconcile_total{kind="Execution",result="error"} 3.0' in operator.metrics.exposition()


async def test_cluster_mode_sees_every_namespace(control_plane: Any, kube: Kube, namespace: str) -> None:
    seen = Seen()
    settings = quick(namespace, str(control_plane.kubeconfig), namespaces=())
    async with running(settings, make=seen.make):
        await kube.create(EXECUTIONS, "default", execution(f"far-{namespace}"))
        await eventually(lambda: _true(seen.count(f"far-{namespace}")), 5)
    await kube.delete(EXECUTIONS, "default", f"far-{namespace}")


# --- the Lease


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
        holder = await eventually(lambda: _holder(kube, namespace), 20)
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
        holder = await eventually(lambda: _holder(kube, namespace), 20)
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


async def _holder(kube: Kube, namespace: str) -> str:
    try:
        return str((await kube.get(LEASES, namespace, "datums-operator"))["spec"].get("holderIdentity") or "")
    except NotFound:
        return ""


async def _followed(kube: Kube, namespace: str, before: str) -> bool:
    return await _holder(kube, namespace) not in ("", before)


async def _true(value: Any) -> Any:
    return value


# --- health


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
        await eventually(lambda: _true(standby.unready() == "" and standby.dead() == ""), 5)
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


# --- the own pod, events


async def test_the_leader_labels_its_pod_and_gives_the_services_address(control_plane: Any, kube: Kube, namespace: str) -> None:
    spec = {"containers": [{"name": "operator", "image": "x"}], "automountServiceAccountToken": False}
    await kube.create(PODS, namespace, {"metadata": {"name": "operator-0", "labels": {LABEL_LEADER: "true"}}, "spec": spec})
    service = {"metadata": {"name": "agent"}, "spec": {"selector": {LABEL_LEADER: "true"}, "ports": [{"port": 8081}]}}
    address = (await kube.create(SERVICES, namespace, service))["spec"]["clusterIP"]
    async with running(quick(namespace, str(control_plane.kubeconfig), agent_service="agent"), make=Seen().make) as operator:
        assert operator.services.agent_url == f"http://{address}:8081"
        pod_ = await kube.get(PODS, namespace, "operator-0")
        assert pod_["metadata"]["labels"] == {LABEL_LEADER: "true"}
        assert await _holder(kube, namespace) == f"operator-0_{pod_['metadata']['uid']}"
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


# --- the agent endpoint


async def _token(kube: Kube, namespace: str, bound: Obj | None, audience: str = AUDIENCE) -> str:
    request: Obj = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
    if bound is not None:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": bound["metadata"]["name"], "uid": bound["metadata"]["uid"]}
        request["spec"]["boundObjectRef"] = reference
    path = "serviceaccounts/default/token"
    accounts = Resource("", "v1", path, "TokenRequest")
    return str((await kube.create(accounts, namespace, request))["status"]["token"])


@pytest.fixture
async def account(kube: Kube, namespace: str) -> None:
    with contextlib.suppress(AlreadyExists):
        await kube.create(SERVICE_ACCOUNTS, namespace, {"metadata": {"name": "default"}})


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
    await eventually(lambda: _true(operator.services.cache.pods.named(uid)), 5)
    good = await _token(kube, namespace, ours)
    async with aiohttp.ClientSession() as http:

        async def send(token: str, body: Any) -> int:
            async with http.post(url, json=body, headers={"Authorization": f"Bearer {token}"}) as answer:
                return answer.status

        report = {"phase": "Downloading", "files": 3, "bytes": 4096}
        assert await send(good, report) == 204
        taken, _ = operator.services.progress[uid]
        assert (taken.phase, taken.files, taken.bytes) == ("Downloading", 3, 4096)
        await eventually(lambda: _true(not len(operator.services.queue)), 2)
        before = seen.count("train")
        for n in range(20):
            assert await send(good, {**report, "files": n}) == 204
        await asyncio.sleep(1.5)
        assert seen.count("train") - before <= 3, "asked for more than about once a second"
        before = seen.count("train")
        assert await send(good, {"phase": "Committed"}) == 204
        await eventually(lambda: _true(seen.count("train") > before), 0.5)

        assert await send(good, {"phase": "Flying"}) == 400
        assert await send(good, {"phase": "Running", "files": -1}) == 400
        assert await send(good, {"phase": "Running", "trouble": "x" * 20_000}) == 413
        assert await send("nonsense", report) == 401
        assert await send(await _token(kube, namespace, None), report) == 401
        assert await send(await _token(kube, namespace, ours, "another"), report) == 401
        assert await send(await _token(kube, namespace, foreign), report) == 403
        reviews = operator.metrics.registry.get_sample_value(
            "datums_api_requests_total", {"verb": "POST", "resource": "tokenreviews", "status": "201"}
        )
        assert reviews == 5, "one review for each token, however often it is used"


async def test_reports_of_a_pod_go_with_it(watched: tuple[Operator, Seen], kube: Kube, namespace: str) -> None:
    operator, _ = watched
    made = await kube.create(EXECUTIONS, namespace, execution())
    ours = await kube.create(PODS, namespace, pod("ours", made))
    uid = ours["metadata"]["uid"]
    await eventually(lambda: _true(operator.services.cache.pods.named(uid)), 5)
    operator.services.progress[uid] = (None, 0.0)  # type: ignore[assignment]
    await kube.delete(PODS, namespace, "ours", grace=0)
    await eventually(lambda: _true(uid not in operator.services.progress), 5)
