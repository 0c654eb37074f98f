"""Large answers: many at once in few threads, and none of them is the others' trouble."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from datums.stores import wire_lanes
from datums.stores.wire import Reply, Request, Wire, WireError
from tests.faults.certificates import Certificates
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Script
from tests.unit.stores.scripted import Asked, Say, serving

MIB = 1 << 20
MANY = 40


def body(target: str) -> bytes:
    """Every object is another one."""
    return Random(target).randbytes(MIB + 1)


def objects(asked: Asked) -> Say:
    return Say(200, body(asked.target))


def load(wire: Wire, target: str, take: Callable[[bytes], None] = lambda _: None) -> bytes:
    """An object, each piece of which is shown to somebody first."""
    data = bytearray()

    def taken(chunk: memoryview) -> None:
        take(bytes(chunk))
        data.extend(chunk)

    wire.pour(Request("GET", target, {}), lambda _: None, taken)
    return bytes(data)


def lanes() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lane"]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


@pytest.mark.parametrize("tls", [False, True])
def test_many_answers_come_whole_in_few_threads(pool: ThreadPoolExecutor, tmp_path: Path, tls: bool) -> None:
    most = 0

    def count(_: bytes) -> None:
        nonlocal most
        most = max(most, len(lanes()))

    certificates = Certificates(tmp_path) if tls else None
    with serving(objects) as script, FaultProxy(script.url, Script([]), certificates=certificates) as proxy:
        wire = Wire(proxy.endpoint, ca_bundle=certificates.ca_bundle if certificates else "")
        loading = {f"/{number}": pool.submit(load, wire, f"/{number}", count) for number in range(3 * MANY)}
        for target, loaded in loading.items():
            assert loaded.result(60) == body(target)
    assert 2 <= most <= 4


def test_connections_are_kept_and_threads_are_not(pool: ThreadPoolExecutor) -> None:
    with serving(objects) as script:
        wire = Wire(script.url)
        files = []
        for _ in range(3):
            assert all(pool.map(lambda number: load(wire, f"/{number}") == body(f"/{number}"), range(8)))
            wait_for(lambda: not lanes())
            files.append(open_files())
        assert len({asked.connection for asked in script.asked}) <= 8 + len(files)
        assert files[2] <= files[1]


def test_what_has_come_is_handed_on_before_more_comes() -> None:
    """Who watches for objects that stand still sees those that do not."""
    seen: list[int] = []
    with serving(Say(200, bytes(1000))) as script, FaultProxy(script.url, Script([Fault(do="slow", rate=500)])) as proxy:
        load(Wire(proxy.endpoint), "/x", lambda chunk: seen.append(len(chunk)))
    assert sum(seen) == 1000
    assert len(seen) > 5


def test_who_does_not_want_it_any_more_is_left_alone(pool: ThreadPoolExecutor) -> None:
    """A taker's error breaks its own answer off at once, also where nothing more would come of it, and no other one."""

    def enough(_: bytes) -> None:
        raise ValueError("enough")

    silent = Script([Fault(do="silent-body", path="/silent", times=0)])
    with serving(objects) as script, FaultProxy(script.url, silent) as proxy:
        wire = Wire(proxy.endpoint)
        failing = [pool.submit(load, wire, f"/{'silent' if number % 2 else number}", enough) for number in range(MANY // 2)]
        loading = {f"/{number}": pool.submit(load, wire, f"/{number}") for number in range(100, 100 + MANY // 2)}
        for failed in failing:
            assert isinstance(failed.exception(10), ValueError)
        for target, loaded in loading.items():
            assert loaded.result(30) == body(target)


def test_one_that_stands_still_holds_no_other_up(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datums.stores.wire_exchange.SILENCE_SECONDS", 4)
    silent = Script([Fault(do="silent-body", path="/silent", times=0), Fault(do="black-hole", path="/hole", times=0)])
    with serving(objects) as script, FaultProxy(script.url, silent) as proxy:
        wire = Wire(proxy.endpoint)
        still = [pool.submit(load, wire, target) for target in ("/silent", "/hole") * 4]
        assert all(pool.map(lambda number: load(wire, f"/{number}") == body(f"/{number}"), range(6)))
        assert not any(one.done() for one in still)
        for one in still:
            assert isinstance(one.exception(20), WireError)


def test_an_error_of_any_length_is_an_error() -> None:
    replies: list[Reply] = []
    with serving(Say(503, bytes(5 * MIB))) as script:
        Wire(script.url).pour(Request("GET", "/", {}), replies.append, lambda _: None)
    assert [reply.status for reply in replies] == [503]
    assert 1 <= len(replies[0].body) <= MIB


@pytest.mark.parametrize(
    ("what", "error"),
    [("threading.Thread.start", RuntimeError("can't start new thread")), ("socket.socketpair", OSError(errno.EMFILE, "too many"))],
)
def test_where_no_more_threads_or_files_may_be_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    with serving(objects) as script:
        wire = Wire(script.url)
        with monkeypatch.context() as patch:
            patch.setattr(f"datums.stores.wire_lanes.{what}", fail)
            files = []
            for _ in range(3):
                with pytest.raises(WireError, match=r"Connect .*(thread|too many)"):
                    load(wire, "/x")
                files.append(open_files())
            assert files[0] == files[2]
        assert load(wire, "/x") == body("/x")


def test_where_a_thread_ends_nobody_waits_for_ever(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    turn, turns = wire_lanes._Lane._turn, iter(range(1000))

    def fail(lane: wire_lanes._Lane) -> bool:
        if next(turns) > 5:
            raise MemoryError("no more")
        return turn(lane)

    with serving(objects) as script:
        wire = Wire(script.url)
        with monkeypatch.context() as patch:
            patch.setattr(wire_lanes._Lane, "_turn", fail)
            for one in [pool.submit(load, wire, f"/{number}") for number in range(MANY)]:
                assert isinstance(one.exception(10), MemoryError | None)
            wait_for(lambda: not lanes())
        assert load(wire, "/x") == body("/x")
