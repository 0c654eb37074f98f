"""The S3 driver against a real server: keys as they are, errors as servers and networks really answer, the probe."""

from __future__ import annotations

import io
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.stores import errors
from datums.stores.probe import probe
from tests.integration.s3_fixture import S3Server, forward

PART_MIB = 5
ODD_KEYS = [
    "a b/c d.txt", "pct%2Fx", "pct%20y", "plus+x", "hash#x", "what?x=1&y", "nfc-é", "nfd-e\u0301",
    "日本/語", "tilde~^`{}|<>\"'", "[x]", "*",
    "%", "%zz", "sp /x ", "x" * 250 + "/" + "y" * 250 + "/" + "z" * 250 + "/" + "w" * 250 + "/" + "v" * 15,
]  # fmt: skip


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_is_kept_as_it_is(s3_server: S3Server, bucket: str, key: str) -> None:
    store = s3_server.open(bucket)
    store.put(key, b"bytes")
    assert [found["Key"] for found in s3_server.boto().list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    assert [found.key for found in store.list()] == [key]
    assert store.get(key) == b"bytes"
    assert store.head(key).size == 5
    assert b"".join(store.stream(key, 1, 3)) == b"yte"
    store.delete(key)
    assert list(store.list()) == []


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "a/../b", "./a", "..", "new\nline", "tab\t", "\x01", ""])
def test_a_key_that_would_not_be_kept_is_refused(s3_server: S3Server, bucket: str, key: str) -> None:
    store = s3_server.open(bucket)
    for call in (lambda: store.put(key, b""), lambda: store.get(key), lambda: store.head(key), lambda: store.delete(key)):
        with pytest.raises(errors.UnsupportedKey, match="rename the object"):
            call()


def test_a_listing_has_markers_and_ends_at_no_name(s3_server: S3Server, bucket: str) -> None:
    boto = s3_server.boto()
    keys = ["model/", "model/a", "model-hf/b", "modeless", "new\nline"]
    for key in keys:
        boto.put_object(Bucket=bucket, Key=key, Body=b"")
    store = s3_server.open(bucket)
    assert {found.key for found in store.list()} == set(keys)
    assert [found.key for found in store.list("model/")] == ["model/", "model/a"]
    assert {found.key for found in store.list("model")} == {"model/", "model/a", "model-hf/b", "modeless"}


def test_a_listing_has_every_page(s3_server: S3Server, bucket: str) -> None:
    store = s3_server.open(bucket)
    keys = [f"many/{n:04}" for n in range(1100)]
    for key in keys:
        store.put(key, b"")
    assert [found.key for found in store.list("many/")] == keys


def test_a_taken_key_is_not_written_again(s3_server: S3Server, bucket: str) -> None:
    for conditional in (True, False):
        store = s3_server.open(bucket, conditional_put=conditional)
        key = f"once-{conditional}"
        store.put(key, b"first", if_absent=True)
        with pytest.raises(errors.AlreadyExists):
            store.put(key, b"second", if_absent=True)
        assert store.get(key) == b"first"


@pytest.mark.parametrize("checksums", ["WhenSupported", "WhenRequired"])
@pytest.mark.parametrize("size", [0, 1, (PART_MIB << 20), (PART_MIB << 20) + 1, (3 * PART_MIB << 20) + 17])
def test_files_of_every_size_arrive(s3_server: S3Server, bucket: str, size: int, checksums: str) -> None:
    store = s3_server.open(bucket, part_size_mib=PART_MIB, checksums=checksums)
    data = bytes(n * n % 251 for n in range(1 << 12)) * (size // (1 << 12) + 1)
    seen: list[int] = []
    store.put_file("file", io.BytesIO(data[:size]), size, seen.append)
    assert store.get("file") == data[:size]
    assert b"".join(store.stream("file")) == data[:size]
    assert sum(seen) == size


@pytest.mark.parametrize("size", [10, (3 * PART_MIB << 20)])
def test_a_file_that_ends_early_or_fails_leaves_nothing(s3_server: S3Server, bucket: str, size: int) -> None:
    store = s3_server.open(bucket, part_size_mib=PART_MIB)
    with pytest.raises(errors.Changed, match="too early"):
        store.put_file("short", io.BytesIO(b"x" * (size - 3)), size)

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > len(self.getvalue()) // 2:
                raise OSError(5, "Input/output error")
            return super().read(min(size or 0, 1 << 20))

    with pytest.raises(OSError, match="Input/output error") if size > 100 else pytest.raises(errors.Changed):
        store.put_file("broken", Broken(b"x" * size), size) if size > 100 else store.put_file("broken", io.BytesIO(b""), size)
    assert list(store.list()) == []
    assert not s3_server.boto().list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_another_version_is_not_read(s3_server: S3Server, bucket: str) -> None:
    store = s3_server.open(bucket)
    store.put("x", b"one")
    etag = store.head("x").etag
    assert b"".join(store.stream("x", etag=etag)) == b"one"
    store.put("x", b"two")
    with pytest.raises(errors.Changed, match="no longer the version"):
        list(store.stream("x", etag=etag))


def test_a_small_object_has_a_limit(s3_server: S3Server, bucket: str) -> None:
    store = s3_server.open(bucket)
    store.put("x", b"12345")
    with pytest.raises(errors.Corrupt, match="5 bytes"):
        store.get("x", limit=4)


def test_errors_are_what_they_are(s3_server: S3Server, bucket: str) -> None:
    good, wrong = s3_server.keys["admin"], s3_server.keys["admin"] | {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    unknown = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    store = s3_server.open(bucket)
    store.put("x", b"x")
    with pytest.raises(errors.NotFound, match=f"no object s3://{bucket}/nothing"):
        store.get("nothing")
    with pytest.raises(errors.NotFound):
        store.head("nothing")
    with pytest.raises(errors.BucketNotFound, match="no bucket 'b-none'"):
        s3_server.open("b-none").get("x")
    with pytest.raises(errors.BucketNotFound):
        s3_server.open("b-none").head("x")
    with pytest.raises(errors.AccessDenied, match="may not write"):
        s3_server.open(bucket, "reader").put("y", b"")
    from datums.stores import open_store

    for keys in (wrong, unknown):
        bad = open_store(s3_server.access(bucket), keys)
        for call in (
            lambda s=bad: s.get("x"),
            lambda s=bad: s.head("x"),
            lambda s=bad: s.put("y", b""),
            lambda s=bad: list(s.list()),
            lambda s=bad: list(s.stream("x")),
        ):
            with pytest.raises(errors.AccessDenied, match="does not accept the credentials") as caught:
                call()
            assert "not-the-secret" not in str(caught.value)
            assert "ignature=" not in str(caught.value)
    assert good != wrong


def test_networks_fail_as_they_do(s3_server: S3Server, bucket: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for call in _calls(s3_server, bucket, endpoint=f"http://127.0.0.1:{closed.getsockname()[1]}"):
            with pytest.raises(errors.EndpointUnreachable, match="connection refused"):
                call()
    for call in _calls(s3_server, bucket, endpoint="http://no-such-host.invalid"):
        with pytest.raises(errors.EndpointUnreachable, match="cannot be looked up"):
            call()
    for call in _calls(s3_server, bucket, endpoint=f"https://127.0.0.1:{s3_server.port}"):
        with pytest.raises(errors.EndpointUnreachable, match="does not speak TLS"):
            call()


def test_a_certificate_is_trusted_by_the_bundle_only(s3_server: S3Server, bucket: str, tls_port: tuple[int, str]) -> None:
    port, certificate = tls_port
    endpoint = f"https://127.0.0.1:{port}"
    for call in _calls(s3_server, bucket, endpoint=endpoint):
        with pytest.raises(errors.CertificateInvalid, match=r"set spec\.s3\.caBundle"):
            call()
    store = s3_server.open(bucket, endpoint=endpoint, ca_bundle=certificate)
    store.put("over-tls", b"x")
    assert store.get("over-tls") == b"x"
    assert [found.key for found in store.list()] == ["over-tls"]


def test_a_store_that_works_is_probed(s3_server: S3Server, bucket: str) -> None:
    probed = probe(s3_server.open(bucket))
    assert probed.capabilities.conditional_put
    assert probed.capabilities.ranged_get
    assert probed.capabilities.multipart
    assert not probed.capabilities.versioning
    assert "wrote, read back, listed and removed a probe object in" in probed.message
    assert list(s3_server.open(bucket).list()) == []


def test_a_bucket_that_keeps_versions_is_known(s3_server: S3Server, bucket: str) -> None:
    s3_server.boto().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert probe(s3_server.open(bucket)).capabilities.versioning


def test_a_store_that_does_not_work_says_why(s3_server: S3Server, bucket: str) -> None:
    with pytest.raises(errors.ReadOnly) as caught:
        probe(s3_server.open(bucket, "reader"))
    assert caught.value.reason == "ReadOnly"
    with pytest.raises(errors.BucketNotFound):
        probe(s3_server.open("b-none"))
    # An administrator's write would have made the bucket.
    assert "b-none" not in [found["Name"] for found in s3_server.boto().list_buckets()["Buckets"]]


def _calls(server: S3Server, bucket: str, endpoint: str) -> list[object]:
    store = server.open(bucket, endpoint=endpoint)
    return [lambda: store.get("x"), lambda: list(store.list())]


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
