"""What every driver promises (stores/protocol.py), as tests against a real server: a provider's module makes a subclass and a
fixture `site`."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pytest

from datums.stores import errors
from datums.stores.probe import probe
from datums.stores.protocol import Store
from datums.stores.sink import FileSink
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script

MIB = 1 << 20
ODD_KEYS = [
    "a b/c d.txt", "pct%2Fx", "pct%20y", "plus+x", "hash#x", "what?x=1&y", "nfc-é", "nfd-e\u0301",
    "日本/語", "tilde~^`{}|<>\"'", "[x]", "*", "😀",
    "%", "%zz", "sp /x ", "x" * 250 + "/" + "y" * 250 + "/" + "z" * 250 + "/" + "w" * 250 + "/" + "v" * 20,
]  # fmt: skip
UNADDRESSABLE = ["a//b", "/a", "a/", "a/../b", "./a", "..", "new\nline", "tab\t", "\x01", ""]


class Site(Protocol):
    """A bucket of the test's own on a real server, and a client of the provider's own beside the driver."""

    bucket: str
    origin: str
    """URL of the server, without a path."""

    def open(self, **changes: Any) -> Store:
        """The bucket, by the driver; `changes` are fields of the StoreAccess."""

    def by(self, proxy: str) -> dict[str, Any]:
        """The changes for `open` that lead through a fault proxy before the server."""

    def write(self, key: str, data: bytes) -> None:
        """By the provider's client."""

    def read(self, key: str) -> bytes:
        """By the provider's client."""

    def names(self) -> list[str]:
        """The keys, by the provider's client, in its order."""


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def patiently(call: Callable[[], Any]) -> Any:
    """As callers do: again where the same call may succeed. A server may drop a connection after an answer that is an error."""
    for _ in range(3):
        try:
            return call()
        except errors.StoreError as error:
            if not error.retryable:
                raise
    return call()


class StoreContract:
    """The tests. What a provider differs in is a class attribute."""

    field: ClassVar[str]
    """The block of the DataStore's spec."""
    versions: ClassVar[bool] = False
    """Whether the service names each version of an object."""
    etags_are_conditions: ClassVar[bool] = True
    listed_etags: ClassVar[bool] = True
    part_unit: ClassVar[int] = 1
    odd_listed: ClassVar[list[str]] = ["x/../y"]
    """Keys that the provider's client can write, and the driver only lists."""

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_a_key_is_kept_as_it_is(self, site: Site, key: str) -> None:
        store = site.open()
        store.put(key, b"bytes")
        assert site.names() == [key]
        assert [found.key for found in store.list()] == [key]
        assert [found.key for found in store.list(key[:3])] == [key]
        assert store.get(key) == b"bytes"
        assert store.head(key).size == 5
        assert bytes(store.read(key, 1, 3)) == b"yte"
        assert b"".join(store.stream(key, 1, 3)) == b"yte"
        store.delete(key)
        assert site.names() == []
        upload = store.begin_upload(key)
        store.finish_upload(key, upload, [store.put_part(key, upload, 1, b"parts", offset=0, size=5)])
        assert site.names() == [key]
        assert site.read(key) == b"parts"

    @pytest.mark.parametrize("key", UNADDRESSABLE)
    def test_a_key_that_would_not_be_kept_is_refused(self, site: Site, key: str) -> None:
        store = site.open()
        store.put("good", b"")  # drivers may find out another way to write by their first try
        calls: list[Callable[[], Any]] = [
            lambda: store.put(key, b""),
            lambda: store.get(key),
            lambda: store.read(key, 0, 1),
            lambda: list(store.stream(key)),
            lambda: store.head(key),
            lambda: store.delete(key),
            lambda: store.begin_upload(key),
        ]
        for call in calls:
            with pytest.raises(errors.UnsupportedKey, match="rename the object"):
                call()
        assert site.names() == ["good"]

    def test_a_listing_is_verbatim(self, site: Site) -> None:
        keys = ["model-hf/b", "model/", "model//c", "model/a", "model/new\nline", "modeless", "x/", *self.odd_listed]
        for key in keys:
            site.write(key, b"12")
        store = site.open()
        assert sorted(found.key for found in store.list()) == sorted(keys)
        assert sorted(f.key for f in store.list("model/")) == sorted(["model/", "model//c", "model/a", "model/new\nline"])
        assert {found.key for found in store.list("model")} == set(keys) - {"x/", *self.odd_listed}
        assert list(store.list("nothing")) == []

    def test_a_listing_tells_what_head_tells(self, site: Site) -> None:
        store = site.open()
        store.put("x", b"12345")
        head, (listed,) = store.head("x"), store.list("x")
        assert head.etag
        assert (listed.key, listed.size, listed.version) == ("x", 5, head.version) == (head.key, head.size, head.version)
        assert listed.etag == (head.etag if self.listed_etags else "")
        assert abs(listed.last_modified - head.last_modified) < 2
        assert bool(head.version) == self.versions
        assert b"".join(store.stream("x", etag=listed.etag, version=listed.version)) == b"12345"

    def test_a_taken_key_is_not_written_again(self, site: Site) -> None:
        for conditional in (True, False):
            store = site.open(conditional_put=conditional)
            key = f"once-{conditional}"
            store.put(key, b"first", if_absent=True)
            with pytest.raises(errors.AlreadyExists, match=re.escape(store.uri(key))):
                store.put(key, b"second", if_absent=True)
            assert store.conditional_put == conditional
            assert site.read(key) == b"first"
            store.put(key, b"third")
            assert site.read(key) == b"third"

    def test_ranges(self, site: Site) -> None:
        data = random_bytes(3 * MIB + 7)
        site.write("x", data)
        store = site.open()
        assert store.get("x") == data
        assert b"".join(store.stream("x")) == data
        assert b"".join(store.stream("x", 1 * MIB)) == data[MIB:]
        for offset, length in ((0, 1), (5, 2 * MIB), (len(data) - 1, 1), (0, len(data))):
            assert b"".join(store.stream("x", offset, length)) == data[offset : offset + length]
            assert bytes(store.read("x", offset, length)) == data[offset : offset + length]
        assert b"".join(store.stream("x", 3, 0)) == b""
        for offset in (len(data) - 1, len(data), len(data) + 5):
            for beyond in (lambda at=offset: store.read("x", at, 2), lambda at=offset: list(store.stream("x", at, 2))):
                with pytest.raises(errors.Corrupt):
                    patiently(beyond)

    def test_downloads(self, site: Site, tmp_path: Path) -> None:
        data = random_bytes(3 * MIB + 7)
        site.write("x", data)
        store = site.open()
        store.put("empty", b"")

        def loaded(key: str, *place: Any, **pin: Any) -> bytes:
            came: list[int] = []
            with (tmp_path / "x").open("w+b", buffering=0) as file:
                sink = FileSink(file.fileno(), hashed=True)
                try:
                    store.download(key, sink, came.append, *place, **pin)
                finally:
                    digest = sink.close()
                got = file.seek(0) or file.read()
            assert digest == hashlib.sha256(got).hexdigest()
            assert sum(came) == len(got)
            return got

        def stop(size: int) -> None:
            raise KeyError(size)

        assert loaded("x") == data
        assert loaded("x", 5, 2 * MIB) == data[5 : 5 + 2 * MIB]
        assert loaded("x", MIB, etag=store.head("x").etag) == data[MIB:]
        assert loaded("x", 3, 0) == loaded("empty") == b""
        for _ in range(3):
            with (tmp_path / "y").open("w+b") as file, pytest.raises(KeyError):
                store.download("x", FileSink(file.fileno(), hashed=False), stop)
        with pytest.raises(errors.NotFound):
            loaded("nothing")
        with pytest.raises(errors.Changed):
            loaded("x", 0, 10, etag=store.head("empty").etag)
        assert loaded("x", len(data) - 1, 1) == data[-1:]

    def test_many_at_once(self, site: Site) -> None:
        store = site.open()
        batch = store.batch(4)
        data = {f"a b/{n}": random_bytes(n * 10_000) for n in range(8)}

        def ended() -> dict[str, Any]:
            answers: dict[str, Any] = {}
            while len(batch):
                answers |= {tag: got if isinstance(got, errors.StoreError) else bytes(got) for tag, got in batch.take(5.0)}
            return answers

        for key, whole in data.items():
            batch.put(f"put {key}", key, whole)
        assert ended() == dict.fromkeys((f"put {key}" for key in data), b"")
        assert {key: site.read(key) for key in site.names()} == data
        head = store.head("a b/3")
        for n in range(1, 8):
            batch.read(f"{n}", f"a b/{n}", n, 5000)
        batch.read("pinned", head.key, 0, head.size, etag=head.etag, version=head.version)
        batch.read("missing", "nothing", 0, 1)
        batch.read("changed", "a b/4", 0, 1, etag=head.etag)
        batch.read("short", "a b/5", 49_999, 2)
        found = ended()
        for tag, kind in (("missing", errors.NotFound), ("changed", errors.Changed), ("short", errors.Corrupt)):
            assert isinstance(found.pop(tag), kind)
        assert found == {f"{n}": data[f"a b/{n}"][n : n + 5000] for n in range(1, 8)} | {"pinned": data[head.key]}
        batch.close()

    def test_an_empty_object(self, site: Site) -> None:
        store = site.open()
        store.put("x", b"")
        store.put_file("y", io.BytesIO(b""), 0)
        for key in ("x", "y"):
            assert store.get(key) == b""
            assert b"".join(store.stream(key)) == b""
            assert store.head(key).size == 0

    def test_a_small_object_has_a_limit(self, site: Site) -> None:
        store = site.open()
        store.put("x", b"12345")
        with pytest.raises(errors.Corrupt, match="5 bytes"):
            store.get("x", limit=4)

    def test_another_version_is_not_read(self, site: Site) -> None:
        store = site.open()
        store.put("x", b"one")
        one = store.head("x")
        store.put("x", b"two")
        pins = [{"version": one.version}] if self.versions else []
        pins += [{"etag": one.etag}, {"etag": one.etag, "version": one.version}]
        for pin in pins:
            for read in (lambda p=pin: list(store.stream("x", **p)), lambda p=pin: store.read("x", 0, 3, **p)):
                with pytest.raises(errors.Changed, match="no longer the version"):
                    read()
        store.delete("x")
        for pin in pins:
            with pytest.raises((errors.NotFound, errors.Changed)):
                list(store.stream("x", **pin))

    def test_what_is_not_there(self, site: Site) -> None:
        store = site.open()
        uri = re.escape(store.uri("nothing"))
        for call in (
            lambda: store.get("nothing"),
            lambda: store.head("nothing"),
            lambda: store.read("nothing", 0, 1),
            lambda: list(store.stream("nothing")),
        ):
            with pytest.raises(errors.NotFound, match=f"no object {uri}"):
                call()
        store.delete("nothing")

    @pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 15 * MIB + 17])
    def test_files_of_every_size_arrive(self, site: Site, size: int) -> None:
        store = site.open(part_size_mib=5)
        data = random_bytes(size)
        seen: list[int] = []
        store.put_file("file", io.BytesIO(data), size, seen.append)
        assert site.read("file") == data
        assert sum(seen) == size
        store.put_file("parts", io.BytesIO(data), size, in_parts=True)
        assert site.read("parts") == data

    @pytest.mark.parametrize("size", [10, 15 * MIB])
    def test_a_file_that_ends_early_leaves_nothing(self, site: Site, size: int) -> None:
        store = site.open(part_size_mib=5)
        with pytest.raises(errors.Changed, match="too early"):
            store.put_file("short", io.BytesIO(b"x" * (size - 3)), size)
        assert site.names() == []

    def test_an_upload_goes_on_in_another_process(self, site: Site) -> None:
        first, second = site.open(part_size_mib=5), site.open(part_size_mib=5)
        data = random_bytes(15 * MIB + 17)
        part = first.part_size(len(data))
        assert part % self.part_unit == 0
        parts = [data[n : n + part] for n in range(0, len(data), part)]
        upload = first.begin_upload("x")
        tags = []
        for number, piece in enumerate(parts, start=1):
            store = first if number <= 2 else second
            tags.append(
                store.put_part("x", upload, number, memoryview(bytearray(piece)), offset=(number - 1) * part, size=len(data))
            )
            assert "x" not in site.names() or number == len(parts)
        second.finish_upload("x", upload, tags)
        assert site.read("x") == data
        site.open().finish_upload("x", upload, tags)  # as after an answer that got lost
        assert site.read("x") == data

    def test_parts_in_any_order(self, site: Site) -> None:
        store = site.open()
        if store.parts_in_order:
            pytest.skip("the provider wants them in order")
        data = random_bytes(15 * MIB)
        upload = store.begin_upload("x")
        tags: dict[int, str] = {}
        for number in (2, 1, 3, 2):
            piece = bytearray(data[(number - 1) * 5 * MIB : number * 5 * MIB])
            tags[number] = store.put_part("x", upload, number, memoryview(piece), offset=(number - 1) * 5 * MIB, size=len(data))
        store.finish_upload("x", upload, [tags[number] for number in sorted(tags)])
        assert site.read("x") == data

    def test_an_aborted_upload_leaves_nothing(self, site: Site) -> None:
        store = site.open()
        upload = store.begin_upload("x")
        store.put_part("x", upload, 1, bytes(5 * MIB), offset=0, size=10 * MIB)
        store.abort_upload("x", upload)
        store.abort_upload("x", upload)
        assert site.names() == []
        assert list(store.pending_uploads("")) == []
        assert list(store.list()) == []

    def test_a_file_of_many_parts(self, site: Site) -> None:
        class Zeros:
            def read(self, size: int, /) -> bytes:
                return bytes(size)

        store = site.open()
        size = 70 * MIB + 1
        store.put_file("large", Zeros(), size)
        assert store.head("large").size == size
        got = 0
        for chunk in store.stream("large"):
            assert not any(memoryview(chunk)[:: 64 << 10])
            got += len(memoryview(chunk))
        assert got == size

    def test_a_bucket_that_is_not_there(self, site: Site) -> None:
        store = site.open(bucket="none-such")
        noun = "container" if self.field == "azure" else "bucket"
        for call in (
            lambda: list(store.list()),
            lambda: probe(store),
            lambda: store.put("x", b""),
            lambda: store.put("x", b"", if_absent=True),
        ):
            with pytest.raises(errors.BucketNotFound, match=rf"no {noun} 'none-such' .*spec\.{self.field}\.{noun}"):
                call()

    def test_a_store_that_works_is_probed(self, site: Site) -> None:
        probed = probe(site.open())
        assert probed.capabilities.conditional_put
        assert probed.capabilities.ranged_get
        assert probed.capabilities.multipart
        assert probed.capabilities.versioning == self.versions
        assert site.names() == []

    def test_networks_fail_as_they_do(self, site: Site) -> None:
        port = site.open()._access.endpoint.split(":")[2].split("/")[0]  # type: ignore[attr-defined]
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            for url, kind, says in [
                (f"http://127.0.0.1:{closed.getsockname()[1]}", errors.EndpointUnreachable, "connection refused"),
                ("http://no-such-host.invalid", errors.EndpointUnreachable, "cannot be looked up"),
                (f"https://127.0.0.1:{port}", errors.EndpointUnreachable, "does not speak TLS"),
            ]:
                for call in self.calls(site.open(endpoint=url)):
                    with pytest.raises(kind, match=says):
                        call()

    def test_a_proxy_that_is_not_there(self, site: Site) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            for call in self.calls(site.open(proxy=f"http://127.0.0.1:{closed.getsockname()[1]}")):
                with pytest.raises(errors.EndpointUnreachable, match=r"by the proxy 127\.0\.0\.1"):
                    call()

    def calls(self, store: Store) -> list[Callable[[], Any]]:
        """One of each way that requests take."""
        return [
            lambda: store.get("x"),
            lambda: list(store.list()),
            lambda: store.put("x", b"x"),
            lambda: store.delete("x"),
            lambda: self.put_in_parts(store),
        ]

    def put_in_parts(self, store: Store) -> None:
        store.put_file("in-parts", io.BytesIO(os.urandom(100)), 100, in_parts=True)


class TLSContract:
    """With `site` on a server that speaks TLS with a certificate of an authority of its own."""

    field: ClassVar[str]

    def test_a_certificate_is_trusted_by_the_bundle_only(self, site: Site) -> None:
        for call in StoreContract().calls(site.open(ca_bundle="")):
            with pytest.raises(errors.CertificateInvalid, match=rf"set spec\.{self.field}\.caBundle"):
                call()
        assert site.names() == []
        store = site.open()
        for call in StoreContract().calls(store)[1:]:
            call()
        assert [found.key for found in store.list()] == ["in-parts"]


FAULTS = [
    Fault(do="status", status=500),
    Fault(do="status", status=502, body="<html>bad gateway</html>"),
    Fault(do="status", status=503, headers={"Retry-After": "7"}),
    Fault(do="status", status=429),
    Fault(do="status", status=404, body="<html>nothing here</html>"),
    *(Fault(do=kind) for kind in ("reset-before", "reset-after", "cut", "longer", "html", "redirect", "lost-answer")),
]


# A HEAD has no body that its length could be compared with; to a DELETE, any answer that is no error is a good one.
INVISIBLE = {("head", "longer"), ("delete", "html")}


class FaultContract:
    """Each request fails once in each way: then the driver says so by a StoreError, and the same again does what it should."""

    @pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.do}-{fault.status}" if fault.do == "status" else fault.do)
    @pytest.mark.parametrize("call", ["get", "head", "read", "stream", "list", "put", "delete", "parts"])
    def test_a_request_that_fails_is_told_and_can_be_sent_again(self, site: Site, call: str, fault: Fault) -> None:
        if (call, fault.do) in INVISIBLE:
            pytest.skip("no client can see it")
        data = random_bytes(300_000)
        site.write("x", data)

        def parts(store: Store) -> Any:
            upload = store.begin_upload("new")
            return store.finish_upload("new", upload, [store.put_part("new", upload, 1, data, offset=0, size=len(data))])

        calls: dict[str, Callable[[Store], Any]] = {
            "get": lambda store: store.get("x") == data,
            "head": lambda store: store.head("x").size == len(data),
            "read": lambda store: bytes(store.read("x", 0, len(data))) == data,
            "stream": lambda store: b"".join(store.stream("x")) == data,
            "list": lambda store: [found.key for found in store.list()] == ["x"],
            "put": lambda store: store.put("new", data),
            "delete": lambda store: store.delete("x"),
            "parts": parts,
        }
        for number in range(1, 4):
            faulty = Fault(do=fault.do, status=fault.status, headers=fault.headers, body=fault.body, number=number)
            with FaultProxy(site.origin, Script([faulty])) as proxy:
                store = site.open(**site.by(proxy.endpoint))
                try:
                    done = calls[call](store)
                except errors.StoreError as error:
                    if fault.status == 503 and fault.do == "status":
                        assert isinstance(error, errors.Throttled)
                        assert error.retry_after == 7
                    if fault.do == "status" and fault.status in (429, 503):
                        assert isinstance(error, errors.Throttled)
                    if fault.do in ("reset-before", "reset-after", "cut", "lost-answer"):
                        assert error.retryable, error
                    done = calls[call](store)
                assert done in (True, None), proxy.story()
                met = bool(proxy.faults)
            if call in ("put", "parts"):
                assert site.read("new") == data
            if call == "delete":
                assert "x" not in site.names()
                site.write("x", data)
            if not met:
                return
