"""DataStores of other providers than S3: their keys, their place, and what `Ready` says of them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from datums.control.kube import DATASTORES, SECRETS, Kube, Obj
from tests.integration.azure_fixture import AzureSite, another_key
from tests.integration.datastores_kit import Waiting, is_ready
from tests.integration.gcs_fixture import GCSSite, key_file
from tests.integration.kube_fixture import free_port, quick, running

Connect = Callable[..., Any]


@pytest.fixture
async def connect(control_plane: Any, kube: Kube, namespace: str) -> AsyncIterator[Connect]:
    """Makes a DataStore while the operator runs."""

    async def make(spec: Obj, keys: dict[str, str] | None) -> None:
        if keys is not None:
            await kube.create(SECRETS, namespace, {"metadata": {"name": "keys"}, "stringData": keys})
        given = {"secretRef": {"name": "keys"}} if keys is not None else {"anonymous": True}
        body = {"apiVersion": DATASTORES.api_version, "kind": "DataStore", "metadata": {"name": "ml"}}
        await kube.create(DATASTORES, namespace, {**body, "spec": {"credentials": given, **spec}})

    async with running(quick(namespace, str(control_plane.kubeconfig), probe_timeout_seconds=5.0), make=Waiting().make):
        yield make


def of_google(gcs: GCSSite, **block: Any) -> Obj:
    return {"gcs": {"bucket": gcs.bucket, "endpoint": gcs.server.endpoint, **block}}


def of_azure(azure: AzureSite, **block: Any) -> Obj:
    place = {"account": azure.server.account, "container": azure.bucket, "endpoint": azure.server.endpoint}
    return {"azure": place | block}


async def location(kube: Kube, namespace: str) -> str:
    status: Obj = (await kube.get(DATASTORES, namespace, "ml"))["status"]
    return str(status["location"])


async def test_google(connect: Connect, kube: Kube, namespace: str, gcs: GCSSite) -> None:
    await connect(of_google(gcs, prefix="team/x"), {"service-account.json": key_file(), "note": "ours"})
    assert (await is_ready(kube, namespace, "Probed"))["status"] == "True"
    status = (await kube.get(DATASTORES, namespace, "ml"))["status"]
    assert status["location"] == f"gs://{gcs.bucket}/team/x"
    assert status["capabilities"]["conditionalPut"] and status["capabilities"]["rangedGet"]
    assert gcs.names() == []


async def test_a_bucket_of_google_that_is_not_there(connect: Connect, kube: Kube, namespace: str, gcs: GCSSite) -> None:
    await connect(of_google(gcs, bucket="there-is-none"), {"service-account.json": key_file()})
    condition = await is_ready(kube, namespace, "BucketNotFound")
    assert "there-is-none" in condition["message"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"AWS_ACCESS_KEY_ID": "x"}, "has no key service-account.json"),
        ({"service-account.json": "canary"}, "key service-account.json of Secret"),
    ],
)
async def test_a_secret_that_is_none_of_google(
    connect: Connect, kube: Kube, namespace: str, gcs: GCSSite, keys: dict[str, str], told: str
) -> None:
    await connect(of_google(gcs), keys)
    condition = await is_ready(kube, namespace, "SecretKeyMissing")
    assert told in condition["message"] and "canary" not in condition["message"]
    right = {"data": {"service-account.json": base64.b64encode(key_file().encode()).decode()}}
    await kube.patch(SECRETS, namespace, "keys", right)
    await is_ready(kube, namespace, "Probed")


async def test_a_proxy_that_is_not_there(connect: Connect, kube: Kube, namespace: str, gcs: GCSSite) -> None:
    port = free_port()
    await connect(of_google(gcs, proxyURL=f"http://127.0.0.1:{port}"), {"service-account.json": key_file()})
    await is_ready(kube, namespace, "EndpointUnreachable")
    assert await location(kube, namespace) == f"gs://{gcs.bucket}/datums"


@pytest.mark.parametrize("way", ["key", "signature"])
async def test_azure(connect: Connect, kube: Kube, namespace: str, azure: AzureSite, way: str) -> None:
    await connect(of_azure(azure), {"AZURE_STORAGE_KEY": azure.server.key} if way == "key" else azure.sas("racwdl"))
    assert (await is_ready(kube, namespace, "Probed"))["status"] == "True"
    status = (await kube.get(DATASTORES, namespace, "ml"))["status"]
    assert status["location"] == f"azure://acme/{azure.bucket}/datums"
    assert status["capabilities"]["conditionalPut"] and status["capabilities"]["multipart"]
    assert azure.names() == []


async def test_a_secret_that_is_none_of_azure(connect: Connect, kube: Kube, namespace: str, azure: AzureSite) -> None:
    await connect(of_azure(azure), {"AZURE_CLIENT_ID": "x"})
    condition = await is_ready(kube, namespace, "SecretKeyMissing")
    assert "has no key AZURE_TENANT_ID and AZURE_CLIENT_SECRET" in condition["message"]
    await kube.patch(SECRETS, namespace, "keys", {"stringData": {"AZURE_STORAGE_KEY": another_key()}})
    await is_ready(kube, namespace, "AccessDenied")


async def test_a_container_of_azure_that_is_not_there(connect: Connect, kube: Kube, namespace: str, azure: AzureSite) -> None:
    await connect(of_azure(azure, container="there-is-none"), {"AZURE_STORAGE_KEY": azure.server.key})
    condition = await is_ready(kube, namespace, "BucketNotFound")
    assert "there-is-none" in condition["message"]


async def test_a_public_bucket_needs_no_secret(connect: Connect, kube: Kube, namespace: str, gcs: GCSSite) -> None:
    gcs.write("images/1.png", b"x")
    await connect(of_google(gcs), None)
    condition = await is_ready(kube, namespace, "Probed")
    assert condition["status"] == "True"
    assert gcs.names() == ["images/1.png"], "nothing is written"
