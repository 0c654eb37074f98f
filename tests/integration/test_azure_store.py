"""The driver of Azure Blob Storage against Azurite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from datums.stores import azure_listing, errors
from datums.stores.probe import probe
from datums.stores.protocol import Store
from testbed.azurite import AzuriteServer
from tests.integration.azure_fixture import AzureSite, another_key
from tests.integration.azure_login import LoginServer
from tests.integration.store_contract import FaultContract, StoreContract, TLSContract


class TestAzure(StoreContract):
    field = "azure"
    odd_listed: ClassVar[list[str]] = ["dot.", "x./y"]

    @pytest.fixture
    def site(self, azure: AzureSite) -> AzureSite:
        return azure

    @pytest.mark.parametrize("key", ["back\\slash", "dot.", "seg./x", "..."])
    def test_a_key_that_azure_would_not_keep_is_refused(self, site: AzureSite, key: str) -> None:
        store = site.open()
        for call in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.begin_upload(key)):
            with pytest.raises(errors.UnsupportedKey, match="rename the object"):
                call()


class TestAzureFaults(FaultContract):
    @pytest.fixture
    def site(self, azure: AzureSite) -> AzureSite:
        return azure


class TestAzureOverTLS(TLSContract):
    field = "azure"

    @pytest.fixture
    def site(self, azure_server: AzuriteServer) -> Iterator[AzureSite]:
        with AzuriteServer(tls=True) as server:
            site = AzureSite(server)
            yield site
            site.close()

    def test_a_client_with_a_secret(self, site: AzureSite) -> None:
        with LoginServer(site.server) as login:
            store = site.open(login.credentials())
            assert probe(store).capabilities.multipart
            for call in writes(store):
                call()
            assert [found.key for found in store.list()] == ["in-parts"]
            assert login.asked == 1

            for refusal, kind, says in [
                ("", errors.AccessDenied, "does not accept the credentials .*AADSTS7000215: Invalid client secret provided"),
                ("AADSTS7000222: The provided client secret keys are expired.", errors.CredentialExpired, "have expired"),
                ("AADSTS700024: Client assertion is not within its valid time range.", errors.ClockSkew, "clock"),
            ]:
                login.refusal = refusal
                for call in calls(site.open(login.credentials("another-secret"))):
                    with pytest.raises(kind, match=says) as caught:
                        call()
                    assert "another-secret" not in str(caught.value)

        for call in calls(site.open(login.credentials())):  # the login service is gone
            with pytest.raises(errors.EndpointUnreachable, match="which gives the tokens for"):
                call()


def calls(store: Store) -> list[Callable[[], Any]]:
    return [lambda: store.get("x"), lambda: store.head("x"), lambda: list(store.list()), *writes(store)]


def writes(store: Store) -> list[Callable[[], Any]]:
    return [lambda: store.put("y", b"y"), lambda: store.delete("y"), lambda: StoreContract().put_in_parts(store)]


def test_a_listing_has_every_page(azure: AzureSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azure_listing, "_PAGE", "50")
    store = azure.open()
    for number in range(203):
        store.put(f"many/{number:03}", b"")
    assert [found.key for found in store.list("many/")] == [f"many/{number:03}" for number in range(203)]


def test_directories_of_a_hierarchical_namespace_are_told_from_objects(azure: AzureSite) -> None:
    azure.container.upload_blob("dir", b"", metadata={"hdi_isfolder": "true"})
    azure.write("dir/x", b"1")
    assert [found.key for found in azure.open().list()] == ["dir/", "dir/x"]


@pytest.mark.parametrize("token", ["plain", "?asked", " spaces \n"])
def test_a_sas_token_opens_what_it_may(azure: AzureSite, token: str) -> None:
    sas = azure.sas("rwdlc")["AZURE_STORAGE_SAS_TOKEN"]
    given = {"plain": sas, "?asked": f"?{sas}", " spaces \n": f" {sas}\n"}[token]
    store = azure.open({"AZURE_STORAGE_SAS_TOKEN": given})
    assert probe(store).capabilities.multipart
    for call in writes(store):
        call()
    assert store.get("in-parts") == azure.read("in-parts")
    assert azure.names() == ["in-parts"]


def test_a_sas_token_that_only_reads(azure: AzureSite) -> None:
    azure.write("x", b"12345")
    store = azure.open(azure.sas("rl"))
    assert store.get("x") == b"12345"
    assert [found.key for found in store.list()] == ["x"]
    for call in writes(store):
        with pytest.raises(errors.AccessDenied, match=r"may not (write|remove)") as caught:
            call()
        assert "sig=" not in str(caught.value)
    with pytest.raises(errors.ReadOnly):
        probe(store)


def test_a_sas_token_that_has_had_its_time(azure: AzureSite) -> None:
    for call in calls(azure.open(azure.sas("rwdlc", hours=-1))):
        with pytest.raises(errors.CredentialExpired, match="have expired") as caught:
            call()
        assert "sig=" not in str(caught.value)


def test_a_wrong_key(azure: AzureSite) -> None:
    key = another_key()
    for call in calls(azure.open({"AZURE_STORAGE_KEY": key})):
        with pytest.raises(errors.AccessDenied, match="does not accept the credentials") as caught:
            call()
        assert key not in str(caught.value)
        assert not isinstance(caught.value, errors.CredentialExpired)


@pytest.mark.parametrize(
    ("credentials", "says"),
    [
        ({}, "has no credentials of Azure"),
        ({"AZURE_STORAGE_KEY": "not base64!"}, "AZURE_STORAGE_KEY .* is not base64"),
        ({"AZURE_STORAGE_SAS_TOKEN": "hush"}, "has no `sig=`"),
        ({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_SECRET": "hush"}, "has no AZURE_CLIENT_ID"),
    ],
)
def test_credentials_that_are_none_are_said_at_the_first_call(azure: AzureSite, credentials: dict[str, str], says: str) -> None:
    for call in calls(azure.open(credentials)):
        with pytest.raises(errors.AccessDenied, match=says) as caught:
            call()
        assert "hush" not in str(caught.value)


def test_an_anonymous_store_reads_only_what_is_public(azure: AzureSite) -> None:
    azure.write("x", b"12345")
    store = azure.open({}, anonymous=True)
    for call in calls(store)[:3]:
        with pytest.raises(errors.AccessDenied, match="is not public"):
            call()
    azure.container.set_container_access_policy(signed_identifiers={}, public_access="container")
    assert store.get("x") == b"12345"
    assert store.head("x").size == 5
    assert [found.key for found in store.list()] == ["x"]
    for call in writes(store):
        with pytest.raises(errors.AccessDenied, match=r"spec\.credentials\.anonymous only reads"):
            call()
    assert azure.names() == ["x"]


def test_blocks_of_another_upload_are_left_aside(azure: AzureSite) -> None:
    store = azure.open()
    first, second = store.begin_upload("x"), store.begin_upload("x")
    tags = {upload: [store.put_part("x", upload, 1, upload.encode(), offset=0, size=16)] for upload in (first, second)}
    store.finish_upload("x", first, tags[first])
    assert store.get("x") == first.encode()
    with pytest.raises(errors.NotFound):
        store.finish_upload("x", second, tags[second])  # making an object of some blocks has removed the others
    assert store.get("x") == first.encode()
