"""The conformance kit on a store in memory that is right, and on ones that are wrong in one way each, as services are."""

from __future__ import annotations

import hashlib
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.conformance import Options, Report, run
from datums.stores.conformance import site as sites
from datums.stores.protocol import ObjectInfo, PendingUpload, Readable, SentPart

ACCESS = StoreAccess(kind="s3", name="platform/ml", bucket="data", prefix="datums", region="us-east-1")
QUICK = Options(quick=True)


class Service:
    """What lies in the bucket."""

    def __init__(self) -> None:
        self.objects: dict[str, list[tuple[bytes, float, str]]] = {"other/of-somebody": [(b"precious", 0.0, '"0"')]}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.touched: set[str] = set()
        self.lock = threading.Lock()
        self.number = 0


class Memory:
    """A store that does everything right."""

    conditional_put = True
    parts_in_order = False
    versioned = True
    part = 1 << 20

    def __init__(self, service: Service, access: StoreAccess) -> None:
        self.service, self.access = service, access
        self.name, self.prefix = access.name, access.prefix

    def uri(self, key: str) -> str:
        return f"s3://{self.access.bucket}/{key}"

    def allow(self, key: str, *, write: bool = False) -> None:
        if self.access.anonymous:
            raise errors.AccessDenied(f"{self.uri(key)}: not without credentials", store=self.name)
        if len(key.encode()) > 1024:
            raise errors.UnsupportedKey(f"{self.uri(key)}: too long", store=self.name)
        if write:
            self.service.touched.add(key)

    def found(self, key: str, version: str = "") -> tuple[bytes, ObjectInfo]:
        self.allow(key)
        versions = self.service.objects.get(key)
        if not versions:
            raise errors.NotFound(f"there is no object {self.uri(key)}", store=self.name, key=key)
        at = int(version) if version else len(versions) - 1
        body, when, etag = versions[at]
        return body, ObjectInfo(key, len(body), etag, when, f"{at}" if self.versioned else "")

    def head(self, key: str) -> ObjectInfo:
        return self.found(key)[1]

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        return self.found(key)[0]

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> bytes:
        data = b"".join(self.stream(key, offset, length, etag=etag, version=version))
        if len(data) != length:
            raise errors.Corrupt("shorter")
        return data

    def stream(self, key: str, offset: int = 0, length: int | None = None, *, etag: str = "", version: str = "") -> Iterator[bytes]:
        body, info = self.found(key, version)
        if etag not in ("", info.etag):
            raise errors.Changed("changed")
        yield body[offset : None if length is None else offset + length]

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self.allow(key, write=True)
        with self.service.lock:
            if if_absent and self.service.objects.get(key):
                raise errors.AlreadyExists("taken")
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            self.service.objects.setdefault(key, []).append((bytes(data), float(int(time.time())), etag))

    def put_file(
        self, key: str, file: Readable, size: int, on_progress: Callable[[int], None] | None = None, *, in_parts: bool = False
    ) -> None:
        self.put(key, file.read(size))

    def part_size(self, size: int) -> int:
        return self.part

    def begin_upload(self, key: str) -> str:
        self.allow(key, write=True)
        self.service.number += 1
        self.service.uploads[f"u{self.service.number}"] = (key, {})
        return f"u{self.service.number}"

    def put_part(self, key: str, upload: str, number: int, data: Any, *, offset: int, size: int) -> str:
        self.service.uploads[upload][1][number] = bytes(data)
        return f"{number}"

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        if upload not in self.service.uploads:
            raise errors.NotFound("no such upload")
        parts = self.service.uploads.pop(upload)[1]
        self.put(key, b"".join(parts[int(tag)] for tag in tags))

    def abort_upload(self, key: str, upload: str) -> None:
        self.service.uploads.pop(upload, None)

    def sent_parts(self, key: str, upload: str) -> dict[int, SentPart]:
        return {}

    def part_tag(self, part: SentPart, data: bytes) -> str:
        return part.listed

    def pending_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        for upload, (key, _) in list(self.service.uploads.items()):
            if key.startswith(prefix):
                yield PendingUpload(key, upload, 0.0)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.allow(prefix)
        for key in sorted((key for key, versions in self.service.objects.items() if versions), key=str.encode):
            if key.startswith(prefix):
                yield self.found(key)[1]

    def delete(self, key: str) -> None:
        self.allow(key, write=True)
        self.service.objects.pop(key, None)


def check(monkeypatch: pytest.MonkeyPatch, kind: type[Memory], options: Options = QUICK, **access: Any) -> tuple[Report, Service]:
    service = Service()

    def opened(access: StoreAccess, credentials: Mapping[str, str]) -> Memory:
        return kind(service, access)

    monkeypatch.setattr(sites, "open_store", opened)
    monkeypatch.setattr(sites.time, "sleep", lambda _: None)
    from msgspec import structs

    return run(structs.replace(ACCESS, **access), {}, options), service


def verdict(report: Report, name: str) -> str:
    return next(check.verdict for check in report.checks if check.name == name)


def test_a_right_store_passes_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    report, service = check(monkeypatch, Memory)
    assert report.failed == []
    assert {check.name for check in report.checks if check.verdict != "yes"} == {"over 1,024 bytes", "finished twice"}
    assert set(service.objects) == {"other/of-somebody"}
    assert service.uploads == {}
    assert len({key.rpartition("/probes/")[2].partition("/")[0] for key in service.touched}) == 1
    assert all(key.startswith("datums/probes/") for key in service.touched)


def test_all_of_it_is_tried_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    report, service = check(monkeypatch, Memory, Options())
    assert report.failed == []
    assert verdict(report, "long list") == "yes"
    assert {figure for check in report.checks for figure in check.figures} == {
        "clock_difference_s", "put_p50_ms", "get_p50_ms", "put_per_s", "get_per_s", "put_mb_s", "get_mb_s",
    }  # fmt: skip
    assert set(service.objects) == {"other/of-somebody"}


class TakesAny(Memory):
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        super().put(key, data)


class KeepsFirst(Memory):
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        if not self.service.objects.get(key):
            super().put(key, data, if_absent=if_absent)


class WholeForRange(Memory):
    def stream(self, key: str, offset: int = 0, length: int | None = None, **pins: Any) -> Iterator[bytes]:
        return super().stream(key, **pins)

    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> bytes:
        return b"".join(self.stream(key, offset, length, etag=etag, version=version))


class Short(Memory):
    def read(self, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> bytes:
        return b"".join(self.stream(key, offset, length, etag=etag, version=version))


class AnyETag(Memory):
    def stream(self, key: str, offset: int = 0, length: int | None = None, **pins: Any) -> Iterator[bytes]:
        return super().stream(key, offset, length, version=pins.get("version", ""))


class AnyVersion(Memory):
    def stream(self, key: str, offset: int = 0, length: int | None = None, **pins: Any) -> Iterator[bytes]:
        return super().stream(key, offset, length, etag=pins.get("etag", ""))


class Unversioned(Memory):
    versioned = False


class NoKey(Memory):
    """Says of a missing object that it is empty."""

    def get(self, key: str, limit: int = 64 << 20) -> bytes:
        try:
            return super().get(key)
        except errors.NotFound:
            return b""


class Directories(Memory):
    """Takes the prefix for a directory."""

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (info for info in super().list(prefix) if info.key.startswith(f"{prefix.rstrip('/')}/") or info.key == prefix)


class Normalises(Memory):
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        super().put(unicodedata.normalize("NFC", key), data, if_absent=if_absent)

    def found(self, key: str, version: str = "") -> tuple[bytes, ObjectInfo]:
        return super().found(unicodedata.normalize("NFC", key), version)


class Trims(Memory):
    """Drops a slash at the end."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        super().put(key.rstrip("/"), data, if_absent=if_absent)

    def found(self, key: str, version: str = "") -> tuple[bytes, ObjectInfo]:
        return super().found(key.rstrip("/"), version)


class Refuses(Memory):
    """Takes no odd key, and says so."""

    def allow(self, key: str, *, write: bool = False) -> None:
        if write and (any(c in key for c in "\\\n\x01é") or "//" in key or key.endswith("/") or "/.." in key):
            raise errors.UnsupportedKey(f"{key!r}: rename the object")
        super().allow(key, write=write)


class SlowToList(Memory):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return iter(list(super().list(prefix))[:-1])


class Twice(Memory):
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        for info in super().list(prefix):
            yield info
            yield info


class SlowToForget(Memory):
    def delete(self, key: str) -> None:
        if "/probes/" in key and time.monotonic() < 0:
            super().delete(key)


class MixesParts(Memory):
    """Puts the parts together in the order in which they came."""

    def finish_upload(self, key: str, upload: str, tags: Sequence[str]) -> None:
        if upload in self.service.uploads:
            tags = list(self.service.uploads[upload][1])
        super().finish_upload(key, upload, [f"{tag}" for tag in tags])


class ShowsParts(Memory):
    def put_part(self, key: str, upload: str, number: int, data: Any, *, offset: int, size: int) -> str:
        self.put(key, bytes(data))
        return super().put_part(key, upload, number, data, offset=offset, size=size)


class KeepsAborted(Memory):
    def abort_upload(self, key: str, upload: str) -> None:
        return


class LateClock(Memory):
    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        super().put(key, data, if_absent=if_absent)
        versions = self.service.objects[key]
        versions[-1] = (versions[-1][0], versions[-1][1] - 3600, versions[-1][2])


class Open(Memory):
    """Lets anybody in."""

    def allow(self, key: str, *, write: bool = False) -> None:
        from msgspec import structs

        self.access = structs.replace(self.access, anonymous=False)
        super().allow(key, write=write)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (KeepsFirst, "overwrite"),
        (WholeForRange, "ranges"),
        (Short, "ranges"),
        (AnyETag, "change detected"),
        (AnyVersion, "pinned version"),
        (NoKey, "missing object"),
        (Directories, "list by prefix"),
        (Normalises, "unicode, decomposed (NFD)"),
        (Normalises, "NFC and NFD"),
        (Trims, "slash at the end"),
        (SlowToList, "list after write"),
        (Twice, "overwrite"),
        (SlowToForget, "gone after delete"),
        (SlowToForget, "removed"),
        (ShowsParts, "resumed"),
        (KeepsAborted, "aborted"),
        (LateClock, "clock"),
        (Open, "strangers do not write"),
    ],
)
def test_a_store_that_does_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch, kind: type[Memory], name: str) -> None:
    report, _ = check(monkeypatch, kind)
    assert name in {check.name for check in report.failed}
    assert verdict(report, name) == "no"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TakesAny, "conditional put"),
        (TakesAny, "one winner"),
        (Unversioned, "versions"),
        (MixesParts, "any order"),
        (Open, "strangers do not read"),
    ],
)
def test_what_datums_can_live_with_is_said_all_the_same(monkeypatch: pytest.MonkeyPatch, kind: type[Memory], name: str) -> None:
    report, _ = check(monkeypatch, kind)
    assert verdict(report, name) == "no"


def test_a_key_that_is_refused_by_name_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = check(monkeypatch, Refuses)
    assert verdict(report, "slash at the end") == "refused"
    assert report.failed == []


class ReadOnly(Memory):
    def allow(self, key: str, *, write: bool = False) -> None:
        if write:
            raise errors.AccessDenied("not allowed to write")
        super().allow(key)


def test_a_store_that_can_only_be_read_gets_the_half_that_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    report, service = check(monkeypatch, ReadOnly, Options())
    assert (report.half, report.why_half) == ("read", "not allowed to write")
    assert report.failed == []
    assert {check.group for check in report.checks} == {"Reading", "Speed"}
    assert service.touched == set()


def test_an_empty_store_that_can_only_be_read_asks_for_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty(ReadOnly):
        def __init__(self, service: Service, access: StoreAccess) -> None:
            super().__init__(service, access)
            service.objects.clear()

    report, _ = check(monkeypatch, Empty)
    assert "name one with --object" in next(check.told for check in report.checks if check.name == "read")


def test_a_busy_service_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(Memory):
        def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
            with self.service.lock:
                self.service.number += 1
            if self.service.number % 7 == 0:
                raise errors.Throttled("slow down", retry_after=1.0)
            super().put(key, data, if_absent=if_absent)

    report, service = check(monkeypatch, Busy)
    assert report.failed == []
    assert report.repeated > 0
    assert set(service.objects) == {"other/of-somebody"}


def test_what_was_written_is_removed_when_the_checks_break(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks(Memory):
        def begin_upload(self, key: str) -> str:
            raise KeyboardInterrupt

    service = Service()
    monkeypatch.setattr(sites, "open_store", lambda access, credentials: Breaks(service, access))
    with pytest.raises(KeyboardInterrupt):
        run(ACCESS, {}, QUICK)
    assert any("/probes/" in key for key in service.touched)
    assert set(service.objects) == {"other/of-somebody"}


def test_a_store_that_cannot_be_used_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody(Memory):
        def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
            raise errors.BucketNotFound("there is no bucket 'data'")

    with pytest.raises(errors.BucketNotFound):
        check(monkeypatch, Nobody)
