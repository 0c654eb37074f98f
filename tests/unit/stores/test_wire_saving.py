"""Answers that libcurl writes to files by itself: many at once, and none of them is the others' trouble."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from datums.stores.native import native
from datums.stores.sink import FileSink
from datums.stores.wire import Request, Wire, WireError
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script
from tests.unit.stores.saved import Saved
from tests.unit.stores.scripted import Asked, Say, serving, talking

MIB = 1 << 20
MANY = 40
GET = Request("GET", "/", {})


def body(target: str) -> bytes:
    """Every object is another one."""
    return Random(target).randbytes(MIB + 1)


def objects(asked: Asked) -> Say:
    return Say(200, body(asked.target))


def load(wire: Wire, target: str, came: Callable[[int], None] = lambda _: None) -> bytes:
    """An object; somebody is told of what comes of it."""
    saved = Saved()
    wire.save(Request("GET", target, {}), saved.sink, 0, saved.begin, came)
    assert saved.sink.close() == hashlib.sha256(saved.data).hexdigest()
    return saved.data


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


@pytest.mark.parametrize("tls", [False, True])
def test_many_answers_come_whole_by_connections_that_are_kept(pool: ThreadPoolExecutor, tmp_path: Path, tls: bool) -> None:
    certificates = Certificates(tmp_path) if tls else None
    with serving(objects) as script, FaultProxy(script.url, Script([]), certificates=certificates) as proxy:
        wire = Wire(proxy.endpoint, ca_bundle=certificates.ca_bundle if certificates else "")
        for _ in range(2):
            loading = {f"/{number}": pool.submit(load, wire, f"/{number}") for number in range(2 * MANY)}
            for target, loaded in loading.items():
                assert loaded.result(60) == body(target)
            files = open_files()
        assert len(script.asked) == 4 * MANY
        assert len({asked.connection for asked in script.asked}) <= MANY
    del wire, loading, loaded
    assert open_files() < files - MANY


def test_what_has_come_is_told_before_more_comes() -> None:
    """Who watches for objects that stand still sees those that do not."""
    seen: list[int] = []
    with serving(Say(200, bytes(1000))) as script, FaultProxy(script.url, Script([Fault(do="slow", rate=500)])) as proxy:
        load(Wire(proxy.endpoint), "/x", seen.append)
    assert sum(seen) == 1000
    assert len([size for size in seen if size]) > 5


def test_who_does_not_want_it_any_more_is_left_alone(pool: ThreadPoolExecutor) -> None:
    """It is broken off within a second, also where nothing more would come of it, and no other one is."""
    until = time.monotonic() + 1

    def enough(_: int) -> None:
        if time.monotonic() > until:
            raise ValueError("enough")

    silent = Script([Fault(do="silent-body", path="/silent", times=0), Fault(do="black-hole", path="/hole", times=0)])
    with serving(objects) as script, FaultProxy(script.url, silent) as proxy:
        wire = Wire(proxy.endpoint)
        failing = [pool.submit(load, wire, target, enough) for target in ("/silent", "/hole") * (MANY // 4)]
        loading = {f"/{number}": pool.submit(load, wire, f"/{number}") for number in range(MANY // 2)}
        for failed in failing:
            assert isinstance(failed.exception(5), ValueError)
        for target, loaded in loading.items():
            assert loaded.result(30) == body(target)


def test_one_that_stands_still_is_given_up(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datums.stores.wire_exchange._SILENCE_SECONDS", 2)
    silent = Script([Fault(do="silent-body", path="/silent", times=0), Fault(do="black-hole", path="/hole", times=0)])
    with serving(objects) as script, FaultProxy(script.url, silent) as proxy:
        wire = Wire(proxy.endpoint)
        for still in [pool.submit(load, wire, target) for target in ("/silent", "/hole") * 4]:
            with pytest.raises(WireError, match="too slow"):
                still.result(20)
        assert load(wire, "/1") == body("/1")


def test_an_error_whose_body_never_comes_is_that_error() -> None:
    saved = Saved()
    with serving(Say(503, b"", {"Retry-After": "7"}, length=100)) as script:
        saved.from_wire(Wire(script.url))
    assert [(reply.status, reply.retry_after) for reply in saved.replies] == [(503, 7.0)]
    assert saved.data == b""


def test_small_requests_in_between_keep_their_connection() -> None:
    with serving(objects) as script:
        wire = Wire(script.url)
        for _ in range(4):
            wire.send(Request("GET", "/small", {}), 2 * MIB)
            load(wire, "/large")
        assert len({asked.connection for asked in script.asked}) == 2


@pytest.mark.parametrize("size", [3, MIB, 3 * MIB])
def test_no_more_is_written_than_may_come(size: int) -> None:
    """In a file of several streams, the rest would be written over what another one has loaded."""
    data = Random(size).randbytes(3 * MIB)
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (data[:5], data[5:MIB], data[MIB:], b"more"))
    with talking(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked + b"0\r\n\r\n") as url:
        saved = Saved(size)
        with pytest.raises(WireError, match="Got invalid answer"):
            saved.from_wire(Wire(url))
        assert saved.data == data[:size]
        assert sum(saved.came) == size


def test_a_file_that_takes_no_more_says_why() -> None:
    with serving(objects) as script, Path("/dev/full").open("r+b", buffering=0) as full:
        wire = Wire(script.url)
        saved = Saved()
        with pytest.raises(OSError, match="No space left") as failed:
            wire.save(GET, FileSink(full.fileno(), hashed=True), 0, saved.begin, saved.count)
        assert failed.value.errno == errno.ENOSPC
        assert load(wire, "/1") == body("/1")


def test_a_limit_in_the_middle_of_a_body_says_why() -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(Say(200, bytes(4 * MIB))) as script:
        wire, saved = Wire(script.url), Saved()
        resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB - 5, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                saved.from_wire(wire)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert saved.data == bytes(3 * MIB - 5)


def test_what_is_written_from_here_is_hashed_too() -> None:
    saved = Saved()
    saved.sink.write(b"abc")
    saved.sink.write(memoryview(b"def"))
    assert (saved.sink.position, saved.data) == (6, b"abcdef")
    assert saved.sink.close() == hashlib.sha256(b"abcdef").hexdigest()
    with Path("/dev/full").open("wb") as full, pytest.raises(OSError, match="No space left"):
        FileSink(full.fileno(), hashed=False).write(b"x")


def test_nothing_is_lost_of_what_is_begun_anew() -> None:
    with serving(Say(200, body("/1"), length=2 * MIB), Say(200, body("/2"))) as script:
        saved, wire = Saved(), Wire(script.url)
        with pytest.raises(WireError):
            saved.from_wire(wire)
        assert os.fstat(saved.file).st_size == saved.sink.position == MIB + 1
        assert saved.from_wire(wire) == body("/1") + body("/2")


def test_where_a_write_fails_nothing_else_is_written() -> None:
    """A pipe that takes nothing for a moment; glibc would go on behind the end of what was to be written."""
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    stream = native().stream(native().bio_of_file(theirs))
    with suppress(BlockingIOError):
        while True:
            os.write(theirs, bytes(4096))
    assert native().fwrite(b"x" * 4096, 1, 4096, stream) == 0
    got = bytearray()
    with suppress(BlockingIOError):
        while True:
            got += os.read(ours, 1 << 20)
    assert set(got) == {0}
    assert native().fwrite(b"abc", 1, 3, stream) == 3
    assert os.read(ours, 10) == b"abc"
    for end in (ours, theirs):
        os.close(end)


@pytest.mark.parametrize("hashed", [True, False])
def test_what_is_taken_back_was_never_there(hashed: bool, tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b", buffering=0) as file:
        sink = FileSink(file.fileno(), hashed=hashed)
        sink.write(b"abc")
        sink.mark()
        sink.write(b"an error")
        assert sink.take_back(5) == b"an er"
        assert sink.position == 3
        sink.write(b"def")
        assert sink.close() == sink.close() == (hashlib.sha256(b"abcdef").hexdigest() if hashed else "")
        assert os.pread(file.fileno(), 6, 0) == b"abcdef"


def test_what_begins_anew_is_hashed_anew(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b", buffering=0) as file:
        sink = FileSink(file.fileno(), hashed=True)
        sink.write(b"abc")
        sink.restart()
        sink.write(b"de")
        assert sink.close() == hashlib.sha256(b"de").hexdigest()
