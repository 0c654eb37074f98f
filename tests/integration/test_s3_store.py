"""The S3 driver against a real server, in what it has besides the other drivers."""

from __future__ import annotations

import io
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datums.stores import errors, open_store
from datums.stores.probe import probe
from datums.stores.protocol import Store
from testbed import identities
from tests.integration.http_proxy import HttpProxy
from tests.integration.s3_fixture import S3Server, S3Site, forward
from tests.integration.store_contract import MIB, Site, StoreContract, TLSContract, random_bytes


@pytest.fixture
def s3_site(s3_server: S3Server, bucket: str) -> S3Site:
    return S3Site(s3_server, bucket)


class SeaweedContract(StoreContract):
    """But for what SeaweedFS itself does in its own way."""

    field = "s3"

    def test_a_listing_is_verbatim(self, site: Site) -> None:
        # It takes `//` and `..` for ways through directories.
        keys = ["model-hf/b", "model/", "model/a", "model/new\nline", "modeless", "x/"]
        for key in keys:
            site.write(key, b"12" if key[-1] != "/" else b"")
        store = site.open()
        assert sorted(found.key for found in store.list()) == sorted(keys)
        assert sorted(found.key for found in store.list("model/")) == sorted(["model/", "model/a", "model/new\nline"])
        assert {found.key for found in store.list("model")} == set(keys) - {"x/"}
        assert list(store.list("nothing")) == []

    def test_a_bucket_that_is_not_there(self, site: Site) -> None:
        # An administrator's write makes it.
        store = site.open(bucket="none-such")
        for call in (lambda: list(store.list()), lambda: store.get("x"), lambda: store.head("x"), lambda: probe(store)):
            with pytest.raises(errors.BucketNotFound, match=r"no bucket 'none-such' .*spec\.s3\.bucket"):
                call()


class TestS3(SeaweedContract):
    @pytest.fixture
    def site(self, s3_site: S3Site) -> S3Site:
        return s3_site


class TestS3WithoutChecksums(SeaweedContract):
    """As OVH and Oracle are used, for they refuse the headers."""

    @pytest.fixture
    def site(self, s3_server: S3Server, bucket: str) -> S3Site:
        return S3Site(s3_server, bucket, checksums="WhenRequired")


class TestS3OverTLS(TLSContract):
    field = "s3"

    @pytest.fixture
    def site(self, s3_server: S3Server, bucket: str, tls_port: tuple[int, str]) -> S3Site:
        port, certificate = tls_port
        return S3Site(s3_server, bucket, endpoint=f"https://127.0.0.1:{port}", ca_bundle=certificate)


def test_a_listing_has_every_page(s3_site: S3Site) -> None:
    store = s3_site.open()
    keys = [f"many/{n:04}" for n in range(1100)]
    for key in keys:
        store.put(key, b"")
    assert [found.key for found in store.list("many/")] == keys


@pytest.mark.parametrize("size", [(1 << 20) - 1, (1 << 20) + 1, 3 << 20])
@pytest.mark.parametrize("checksums", ["WhenSupported", "WhenRequired"])
def test_a_taken_key_is_not_written_again_whatever_the_size(s3_site: S3Site, size: int, checksums: str) -> None:
    store, data = s3_site.open(checksums=checksums), random_bytes(size)
    store.put("x", data, if_absent=True)
    with pytest.raises(errors.AlreadyExists, match=f"s3://{s3_site.bucket}/x exists already"):
        store.put("x", bytes(size), if_absent=True)
    assert s3_site.read("x") == data


def test_the_service_checks_what_arrives(s3_site: S3Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from datums.stores import checksums

    store = s3_site.open()
    upload = store.begin_upload("x")
    monkeypatch.setattr(checksums, "crc32c", lambda data: 1)
    with pytest.raises(errors.StoreError, match=r"arrived at .* other than it was sent") as caught:
        store.put_part("x", upload, 1, b"bytes", offset=0, size=5)
    assert caught.value.retryable
    with pytest.raises(errors.StoreError, match="other than it was sent"):
        store.put("y", bytes(2 * MIB))
    assert s3_site.names() == []


def test_uploads_are_listed_by_prefix(s3_site: S3Site) -> None:
    store = s3_site.open()
    keys = ["a b+%/1", "a b+%/2", "a", "b/1"]
    begun = {key: store.begin_upload(key) for key in keys}
    found = list(store.pending_uploads("a b+%/"))
    assert sorted((each.key, each.upload) for each in found) == [(key, begun[key]) for key in keys[:2]]
    assert all(abs(each.started - found[0].started) < 60 for each in found)
    assert sorted(each.key for each in store.pending_uploads("")) == sorted(keys)
    for key, upload in begun.items():
        store.abort_upload(key, upload)
    assert s3_site.uploads() == []


def test_an_upload_that_is_gone_must_be_begun_anew(s3_site: S3Site) -> None:
    store = s3_site.open()
    upload = store.begin_upload("x")
    tag = store.put_part("x", upload, 1, b"bytes", offset=0, size=5)
    store.abort_upload("x", upload)
    with pytest.raises(errors.NotFound, match="must be begun anew"):
        store.put_part("x", upload, 1, b"bytes", offset=0, size=5)
    with pytest.raises(errors.NotFound, match="must be begun anew"):
        store.finish_upload("x", upload, [tag])
    store.put("x", b"another")
    with pytest.raises(errors.NotFound, match="must be begun anew"):
        store.finish_upload("x", upload, [tag])


@pytest.mark.parametrize("size", [100, 15 * MIB])
def test_a_file_that_cannot_be_read_leaves_nothing(s3_site: S3Site, size: int) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= len(self.getvalue()) // 2:
                raise OSError(5, "Input/output error")
            return super().read(min(size or 0, len(self.getvalue()) // 2, 1 << 20))

    with pytest.raises(OSError, match="Input/output error"):
        s3_site.open(part_size_mib=5).put_file("broken", Broken(bytes(size)), size)
    assert s3_site.names() == []
    assert s3_site.uploads() == []


def test_another_version_is_read_by_its_id(s3_site: S3Site) -> None:
    s3_site.server.boto().put_bucket_versioning(Bucket=s3_site.bucket, VersioningConfiguration={"Status": "Enabled"})
    store = s3_site.open()
    assert probe(store).capabilities.versioning
    store.put("x", b"one")
    one = store.head("x")
    store.put("x", b"two")
    assert one.version
    assert bytes(store.read("x", 0, 3, version=one.version)) == b"one"
    assert b"".join(store.stream("x", version=one.version, etag=one.etag)) == b"one"
    assert store.get("x") == b"two"


def test_keys_that_are_not_accepted(s3_site: S3Site) -> None:
    s3_site.write("x", b"x")
    with pytest.raises(errors.AccessDenied, match="may not write"):
        s3_site.open(who="reader").put("y", b"")
    server = s3_site.server
    wrong = server.keys["admin"] | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    for keys in (wrong, server.keys["wrong"]):
        bad = open_store(server.access(s3_site.bucket), keys)
        for call in (*_reads(bad), *_writes(bad)):
            with pytest.raises(errors.AccessDenied, match="does not accept the credentials") as caught:
                call()
            assert not isinstance(caught.value, errors.CredentialExpired)
            assert keys["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
            assert "ignature=" not in str(caught.value)


def test_a_store_that_does_not_work_says_why(s3_site: S3Site) -> None:
    with pytest.raises(errors.ReadOnly, match=r"reading works, writing does not: .* may not write") as caught:
        probe(s3_site.open(who="reader"))
    assert caught.value.reason == "ReadOnly"
    with pytest.raises(errors.BucketNotFound):
        probe(s3_site.open(bucket="b-none"))
    # An administrator's write would have made the bucket.
    assert "b-none" not in [found["Name"] for found in s3_site.server.boto().list_buckets()["Buckets"]]
    assert s3_site.names() == []


@pytest.fixture(scope="module")
def public(s3_server: S3Server) -> S3Server:
    """The server, with its two public buckets."""
    boto = s3_server.boto()
    for name in (identities.PUBLIC, identities.UNLISTED):
        boto.create_bucket(Bucket=name)
        boto.put_object(Bucket=name, Key="dir/file", Body=b"for all")
    return s3_server


def _anonymous(server: S3Server, bucket: str) -> Store:
    return open_store(server.access(bucket, anonymous=True), {})


def test_a_public_bucket_is_read_without_credentials(public: S3Server) -> None:
    store = _anonymous(public, identities.PUBLIC)
    assert [found.key for found in store.list("dir/")] == ["dir/file"]
    assert store.get("dir/file") == b"for all"
    assert bytes(store.read("dir/file", 4, 3)) == b"all"
    for call in _writes(store):
        with pytest.raises(errors.AccessDenied, match=r"is not public .*spec\.credentials\.anonymous"):
            call()
    probed = probe(store, anonymous=True)
    assert probed.message.startswith("listed the bucket; read-only: no credentials in ")
    assert probed.capabilities.ranged_get
    assert not probed.capabilities.multipart


def test_a_public_bucket_without_a_list_is_ready_too(public: S3Server) -> None:
    store = _anonymous(public, identities.UNLISTED)
    assert store.get("dir/file") == b"for all"
    with pytest.raises(errors.AccessDenied, match="is not public"):
        list(store.list())
    assert "objects that are public can be read by name" in probe(store, anonymous=True).message


def test_what_is_not_public_is_not_read(public: S3Server, s3_site: S3Site) -> None:
    s3_site.write("x", b"secret")
    store = _anonymous(public, s3_site.bucket)
    for call in _reads(store):
        with pytest.raises(errors.AccessDenied, match="is not public"):
            call()


def test_all_goes_through_the_proxy(s3_site: S3Site) -> None:
    with HttpProxy() as proxy:
        store = s3_site.open(proxy=proxy.url)
        assert probe(store).capabilities.multipart
        for call in StoreContract().calls(store)[1:]:
            call()
    assert proxy.asked
    assert all(line.split(" ")[1].startswith(s3_site.server.endpoint) for line in proxy.asked)


def test_keys_are_kept_through_a_proxy(s3_site: S3Site) -> None:
    with HttpProxy() as proxy:
        store, data = s3_site.open(proxy=proxy.url), random_bytes(2 * MIB)
        for key in ("a b/pct%2Fx", "plus+é", "~/..x/[*]"):
            store.put(key, b"small")
            store.put(key, data)
            assert s3_site.read(key) == data
            assert store.get(key) == data


def test_tls_goes_through_the_proxy(s3_server: S3Server, bucket: str, tls_port: tuple[int, str]) -> None:
    port, certificate = tls_port
    with HttpProxy() as proxy:
        store = s3_server.open(bucket, endpoint=f"https://127.0.0.1:{port}", ca_bundle=certificate, proxy=proxy.url)
        assert probe(store).capabilities.multipart
    assert {line.split(" ")[0] for line in proxy.asked} == {"CONNECT"}


def test_a_proxy_that_refuses_is_named(s3_server: S3Server, bucket: str, tls_port: tuple[int, str]) -> None:
    port, certificate = tls_port
    with HttpProxy(refuse=True) as proxy:
        store = s3_server.open(bucket, endpoint=f"https://127.0.0.1:{port}", ca_bundle=certificate, proxy=proxy.url)
        for call in (lambda: store.get("x"), lambda: list(store.list())):
            with pytest.raises(errors.EndpointUnreachable, match=r"proxy gives no way to .*spec\.s3\.proxyURL"):
                call()


def test_other_providers_are_s3_by_other_names(s3_site: S3Site) -> None:
    for kind, root in (("ovh", "swift://team/"), ("oracle", f"oci://{s3_site.bucket}@team/")):
        store = s3_site.open(kind=kind, account="team", checksums="WhenRequired", force_path_style=True)
        key = f"of-{kind}"
        store.put(key, b"x")
        assert store.uri(key) == (f"{root}{s3_site.bucket}/{key}" if kind == "ovh" else f"{root}{key}")
        assert s3_site.read(key) == b"x"
        with pytest.raises(errors.NotFound, match=r"no object (swift|oci)://"):
            store.get("nothing")


def _reads(store: Store) -> list[Callable[[], Any]]:
    return [
        lambda: store.get("x"),
        lambda: store.head("x"),
        lambda: list(store.list()),
        lambda: list(store.stream("x")),
    ]


def _writes(store: Store) -> list[Callable[[], Any]]:
    return [lambda: store.put("y", b"y"), lambda: store.put("y", bytes(2 * MIB)), lambda: store.begin_upload("y")]


@pytest.fixture
def tls_port(s3_server: S3Server, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A port that speaks TLS with a certificate of its own, and carries what it gets to the server; and that certificate."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, s3_server.port), daemon=True).start()
        yield listener.getsockname()[1], certificate.read_text()
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(client, context, port), daemon=True).start()


def _carry(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    try:
        forward(context.wrap_socket(client, server_side=True), port)
    except OSError:
        client.close()
