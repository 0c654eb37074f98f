"""The driver of Google Cloud Storage against fake-gcs-server."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from datums.stores import errors, open_store
from testbed.fake_gcs import FakeGcsServer
from tests.integration.gcs_fixture import GCSSite
from tests.integration.store_contract import FaultContract, StoreContract, TLSContract


class TestGCS(StoreContract):
    field = "gcs"
    versions = True
    listed_etags = False
    part_unit = 256 << 10

    @pytest.fixture
    def site(self, gcs: GCSSite) -> GCSSite:
        return gcs


class TestGCSFaults(FaultContract):
    @pytest.fixture
    def site(self, gcs: GCSSite) -> GCSSite:
        return gcs


class TestGCSOverTLS(TLSContract):
    field = "gcs"

    @pytest.fixture
    def site(self) -> Iterator[GCSSite]:
        with FakeGcsServer(tls=True) as server:
            site = GCSSite(server)
            yield site
            site.close()


def test_a_listing_has_every_page(gcs: GCSSite) -> None:
    store = gcs.open()
    for number in range(1003):
        store.put(f"many/{number:04}", b"")
    assert [found.key for found in store.list("many/")] == [f"many/{number:04}" for number in range(1003)]


def test_an_object_that_is_stored_packed_is_read_as_it_is_stored(gcs: GCSSite) -> None:
    packed = gzip.compress(b"hello" * 100)
    blob = gcs.client.bucket(gcs.bucket).blob("x.gz")
    blob.content_encoding = "gzip"
    blob.upload_from_string(packed)
    store = gcs.open()
    assert store.get("x.gz") == packed
    assert b"".join(store.stream("x.gz")) == packed
    assert store.head("x.gz").size == len(packed)


def test_an_anonymous_store_reads_only(gcs: GCSSite) -> None:
    gcs.write("x", b"12345")
    store = open_store(gcs.access(anonymous=True), {})
    assert store.get("x") == b"12345"
    assert [found.key for found in store.list()] == ["x"]
    calls: list[Any] = [lambda: store.put("x", b""), lambda: store.delete("x"), lambda: store.begin_upload("x")]
    for call in calls:
        with pytest.raises(errors.AccessDenied, match=r"spec\.credentials\.anonymous only reads"):
            call()
    assert gcs.read("x") == b"12345"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "has no key service-account.json"),
        ("not json", "is no JSON object"),
        ('{"type": "authorized_user"}', "of type 'authorized_user'"),
        ('{"type": "service_account", "client_email": "x"}', "has no private_key"),
        ('{"type": "service_account", "client_email": "x", "private_key": "hush"}', "no RSA key in PEM form"),
    ],
)
def test_a_key_file_that_is_none_is_said_at_the_first_call(gcs: GCSSite, text: str | None, says: str) -> None:
    store = open_store(gcs.access(), {} if text is None else {"service-account.json": text})
    calls: list[Any] = [lambda: store.get("x"), lambda: store.put("x", b""), lambda: list(store.list()), lambda: store.delete("x")]
    for call in (*calls, lambda: store.begin_upload("x")):
        with pytest.raises(errors.AccessDenied, match=says) as caught:
            call()
        assert "hush" not in str(caught.value)


def test_an_upload_that_lost_bytes_is_not_finished(gcs: GCSSite) -> None:
    store = gcs.open()
    upload = store.begin_upload("x")
    tags = [store.put_part("x", upload, 1, bytes(256 << 10), offset=0, size=(256 << 10) + 5)]
    with pytest.raises(errors.NotFound):
        store.finish_upload("x", upload, tags)
    tags.append(store.put_part("x", upload, 2, b"12345", offset=256 << 10, size=(256 << 10) + 5))
    with pytest.raises(errors.Corrupt, match="not what was sent"):
        store.finish_upload("x", upload, [tags[0], "00000000:5"])
    store.finish_upload("x", upload, tags)
