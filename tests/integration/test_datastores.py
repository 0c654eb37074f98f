"""DataStores on a real API server and a real S3 server: what `Ready` says, and when it is said again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from datums.control.app import Operator
from datums.control.kube import CONFIGMAPS, DATASTORES, EVENTS, EXECUTIONS, SECRETS, Kube, Obj
from datums.control.queue import Key
from tests.integration.datastores_kit import Waiting, is_ready
from tests.integration.kube_fixture import eventually, free_port, quick, running


@pytest.fixture
async def stores(control_plane: Any, kube: Kube, namespace: str) -> AsyncIterator[tuple[Operator, Waiting]]:
    waiting = Waiting()
    settings = quick(namespace, str(control_plane.kubeconfig), probe_timeout_seconds=2.0)
    async with running(settings, make=waiting.make) as operator:
        yield operator, waiting


def datastore(server: Any, bucket: str, **s3: Any) -> Obj:
    place = {"bucket": bucket, "endpoint": server.endpoint, "forcePathStyle": True} | s3
    spec = {"s3": {k: v for k, v in place.items() if v is not None}, "credentials": {"secretRef": {"name": "keys"}}}
    return {"apiVersion": DATASTORES.api_version, "kind": "DataStore", "metadata": {"name": "ml"}, "spec": spec}


async def test_a_store_that_works_is_ready_and_says_what_it_can(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    made = await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
    condition = await is_ready(kube, namespace, "Probed")
    assert condition["status"] == "True"
    assert condition["message"].startswith("wrote, read back, listed and removed a probe object in ")
    status = (await kube.get(DATASTORES, namespace, "ml"))["status"]
    assert status["observedGeneration"] == made["metadata"]["generation"] == 1
    assert status["capabilities"] == {"conditionalPut": True, "rangedGet": True, "versioning": False, "multipart": True}
    assert not s3_server.boto().list_objects_v2(Bucket=bucket).get("Contents")

    async def told() -> bool:
        events = await kube.list(EVENTS, namespace, field_selector="involvedObject.name=ml")
        return ("Normal", "Probed") in [(e["type"], e["reason"]) for e in events]

    await eventually(told, 5)


async def test_nothing_is_written_while_nothing_changes(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
    await is_ready(kube, namespace, "Probed")
    version = (await kube.get(DATASTORES, namespace, "ml"))["metadata"]["resourceVersion"]
    await asyncio.sleep(2)
    assert (await kube.get(DATASTORES, namespace, "ml"))["metadata"]["resourceVersion"] == version


async def test_a_missing_secret_is_named_and_waited_for(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str
) -> None:
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
    condition = await is_ready(kube, namespace, "SecretNotFound")
    assert condition["message"] == (
        f"Secret {namespace}/keys (spec.credentials.secretRef of DataStore {namespace}/ml) does not exist: create it"
    )
    keys = dict(s3_server.keys["admin"])
    del keys["AWS_SECRET_ACCESS_KEY"]
    await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": keys})
    condition = await is_ready(kube, namespace, "SecretKeyMissing")
    assert f"Secret {namespace}/keys has no key AWS_SECRET_ACCESS_KEY" in condition["message"]
    await kube.patch(SECRETS, namespace, "keys", {"stringData": s3_server.keys["admin"]})
    await is_ready(kube, namespace, "Probed")


async def test_a_changed_secret_is_tried_at_once_and_wakes_executions(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    operator, waiting = stores
    spec = {"image": "datums-testbed/python:3", "command": "true"}
    body = {"apiVersion": EXECUTIONS.api_version, "kind": "Execution", "metadata": {"name": "waits"}, "spec": spec}
    await kube.create(EXECUTIONS, namespace, body)
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
    await is_ready(kube, namespace, "Probed")
    version = operator.services.secret_versions[namespace, "ml"]
    await asyncio.sleep(0.3)
    waiting.woken.clear()
    wrong = {"AWS_ACCESS_KEY_ID": "KEYwrong", "AWS_SECRET_ACCESS_KEY": "wrong-secret-canary"}
    await kube.patch(SECRETS, namespace, "keys", {"stringData": wrong})
    condition = await is_ready(kube, namespace, "AccessDenied")
    assert condition["status"] == "False"
    assert "wrong-secret-canary" not in condition["message"]
    assert Key("Execution", namespace, "waits") in waiting.woken
    assert operator.services.secret_versions[namespace, "ml"] != version
    waiting.woken.clear()
    await kube.patch(SECRETS, namespace, "keys", {"stringData": s3_server.keys["admin"]})
    await is_ready(kube, namespace, "Probed")
    assert Key("Execution", namespace, "waits") in waiting.woken


async def test_a_changed_spec_is_tried_at_once(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    await kube.create(DATASTORES, namespace, datastore(s3_server, "there-is-no-such-bucket"))
    condition = await is_ready(kube, namespace, "BucketNotFound")
    assert "there-is-no-such-bucket" in condition["message"]
    await kube.patch(DATASTORES, namespace, "ml", {"spec": {"s3": {"bucket": bucket}}})
    condition = await is_ready(kube, namespace, "Probed")
    assert condition["observedGeneration"] == 2


async def test_who_may_only_read_is_told_so(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str
) -> None:
    await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": s3_server.keys["reader"]})
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
    await is_ready(kube, namespace, "ReadOnly")


async def test_an_endpoint_where_nothing_is(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    port = free_port()
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket, endpoint=f"http://127.0.0.1:{port}"))
    condition = await is_ready(kube, namespace, "EndpointUnreachable", 30)
    assert str(port) in condition["message"]


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for one in held:
            one.close()


async def test_a_silent_endpoint_is_given_up_in_time_and_holds_one_thread(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj, silent: str
) -> None:
    operator, _ = stores
    started = time.monotonic()
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket, endpoint=silent))
    condition = await is_ready(kube, namespace, "EndpointUnreachable")
    assert time.monotonic() - started < 5
    assert silent in condition["message"]
    assert "2 s" in condition["message"]
    await asyncio.sleep(3)
    assert sum(t.name.startswith("store") for t in threading.enumerate()) <= 1
    # A store that hangs holds up nobody else.
    other = datastore(s3_server, bucket)
    other["metadata"]["name"] = "other"
    await kube.create(DATASTORES, namespace, other)

    async def works() -> bool:
        found = operator.services.cache.datastores.get((namespace, "other")) or {}
        return any(c["reason"] == "Probed" for c in (found.get("status") or {}).get("conditions") or ())

    await eventually(works, 10)


async def test_a_certificate_authority_from_a_config_map_is_named_when_it_is_missing(
    stores: tuple[Operator, Waiting], kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    reference = {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}
    await kube.create(DATASTORES, namespace, datastore(s3_server, bucket, caBundle=reference))
    condition = await is_ready(kube, namespace, "SecretNotFound")
    assert f"ConfigMap {namespace}/ca (spec.s3.caBundle" in condition["message"]
    await kube.create(CONFIGMAPS, namespace, {"metadata": {"name": "ca"}, "data": {"other": "x"}})
    condition = await is_ready(kube, namespace, "SecretKeyMissing")
    assert f"ConfigMap {namespace}/ca has no key ca.crt" in condition["message"]


async def test_a_restarted_operator_tries_again_and_keeps_the_verdict(
    control_plane: Any, kube: Kube, namespace: str, s3_server: Any, bucket: str, secret: Obj
) -> None:
    settings = quick(namespace, str(control_plane.kubeconfig))
    async with running(settings, make=Waiting().make):
        await kube.create(DATASTORES, namespace, datastore(s3_server, bucket))
        before = await is_ready(kube, namespace, "Probed")
    await kube.delete(SECRETS, namespace, "keys")
    async with running(settings, make=Waiting().make):
        await is_ready(kube, namespace, "SecretNotFound")
        await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": s3_server.keys["admin"]})
        after = await is_ready(kube, namespace, "Probed")
    assert after["lastTransitionTime"] >= before["lastTransitionTime"]
