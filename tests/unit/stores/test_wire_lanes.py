"""Large answers: many at once in few threads, and none of them is the others' trouble."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pycurl
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
    """Each lane keeps its own: how answers are shared out between two or more of them is chance."""
    with serving(objects) as script:
        wire = Wire(script.url)
        files = []
        for _ in range(12):
            assert all(pool.map(lambda number: load(wire, f"/{number}") == body(f"/{number}"), range(4)))
            wait_for(lambda: not lanes())
            files.append(open_files())
        assert len({asked.connection for asked in script.asked}) <= 4 * 4
        assert files[-1] <= files[0] + 4 * 4


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
    monkeypatch.setattr("datums.stores.wire_exchange._SILENCE_SECONDS", 4)
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


def test_an_error_whose_body_never_comes_is_that_error() -> None:
    replies: list[Reply] = []
    with serving(Say(503, b"", {"Retry-After": "7"}, length=100)) as script:
        Wire(script.url).pour(Request("GET", "/", {}), replies.append, lambda _: None)
    assert [(reply.status, reply.retry_after) for reply in replies] == [(503, 7.0)]


def test_small_requests_in_between_keep_their_connection() -> None:
    with serving(objects) as script:
        wire = Wire(script.url)
        for _ in range(4):
            wire.send(Request("GET", "/small", {}), 2 * MIB)
            load(wire, "/large")
        assert len({asked.connection for asked in script.asked}) == 2


def test_where_no_second_thread_may_be_the_first_does_it(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, going_on = threading.Event(), threading.Event()

    def wait(_: bytes) -> None:
        under_way.set()
        assert going_on.wait(10)

    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with serving(objects) as script:
        wire = Wire(script.url)
        first = pool.submit(load, wire, "/1", wait)
        assert under_way.wait(10)
        second = pool.submit(lambda: None)
        second.result(10)  # the pool has its threads
        with monkeypatch.context() as patch:
            patch.setattr("datums.stores.wire_lanes.threading.Thread.start", fail)
            second = pool.submit(load, wire, "/2")
            wait_for(lambda: wire._lanes._lanes[0].load == 2)
        going_on.set()
        assert (first.result(10), second.result(10)) == (body("/1"), body("/2"))


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
            assert files[2] <= files[0]
        assert load(wire, "/x") == body("/x")


class Failing:
    """libcurl's multi interface, one call of which fails."""

    def __init__(self, multi: Any, what: str, error: BaseException) -> None:
        self._multi, self._what, self._error = multi, what, error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._multi, name)
        if name != self._what:
            return call

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == 3:
                raise self._error
            return call(*arguments)

        return counted


@pytest.mark.parametrize("error", [MemoryError("no more"), pycurl.error(11, "multi failed"), OSError(errno.ENOSPC, "no space")])
@pytest.mark.parametrize("what", ["add_handle", "remove_handle", "socket_action", "info_read"])
def test_where_a_lane_fails_nobody_waits_for_ever_and_nothing_is_mixed_up(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, what: str, error: BaseException
) -> None:
    made = wire_lanes._Lane.__init__
    failing: list[Failing] = []

    def make(lane: wire_lanes._Lane) -> None:
        made(lane)
        if not failing:
            failing.append(Failing(lane._multi, what, error))
            lane._multi = failing[0]  # type: ignore[assignment]

    monkeypatch.setattr(wire_lanes._Lane, "__init__", make)
    with serving(objects) as script:
        wire = Wire(script.url)
        loading = {f"/{number}": pool.submit(load, wire, f"/{number}") for number in range(MANY)}
        ended = {target: loaded.exception(20) for target, loaded in loading.items()}
        kind = MemoryError if isinstance(error, MemoryError) else WireError
        assert {type(failure) for failure in ended.values() if failure is not None} == {kind}
        assert all(loaded.result() == body(target) for target, loaded in loading.items() if ended[target] is None)
        wait_for(lambda: not lanes())
        assert all(pool.map(lambda number: load(wire, f"/{number}") == body(f"/{number}"), range(MANY)))


def test_a_taker_that_is_slow_lets_others_have_their_turn(pool: ThreadPoolExecutor) -> None:
    begun = threading.Semaphore(0)

    def slowly(chunk: bytes) -> None:
        begun.release()
        time.sleep(len(chunk) / (10 * MIB))

    with serving(lambda asked: Say(200, bytes(16 * MIB) if asked.target == "/large" else b"small")) as script:
        wire = Wire(script.url)
        wire._lanes._most = 1
        large = [pool.submit(load, wire, "/large", slowly) for _ in range(4)]
        assert begun.acquire(timeout=10)
        assert load(wire, "/small") == b"small"
        assert not any(one.done() for one in large)
        assert [len(one.result(30)) for one in large] == [16 * MIB] * 4


def test_connections_that_the_service_ends_are_let_go_of(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    """Over TLS they end in several steps, some of them after the last answer."""
    certificates = Certificates(tmp_path)
    with serving(Say(200, bytes(1000), {"Connection": "close"})) as script, ending_late(script.url, certificates) as url:
        wire = Wire(url, ca_bundle=certificates.ca_bundle)
        files = []
        for _ in range(4):
            assert all(pool.map(lambda _: load(wire, "/x") == bytes(1000), range(10)))
            wait_for(lambda: not lanes())
            time.sleep(0.5)
            files.append(open_files())
        assert files[3] <= files[1] + 5


@contextmanager
def ending_late(url: str, certificates: Certificates) -> Iterator[str]:
    """A TLS server before another one, that closes its end of a connection 0.2 s after the answer; its URL."""
    ended = threading.Event()

    def answer(client: socket.socket) -> None:
        with suppress(OSError), certificates.good.wrap_socket(client, server_side=True) as tls:
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as server:
                server.sendall(tls.recv(1 << 16))
                while data := server.recv(1 << 16):
                    tls.sendall(data)
            ended.wait(0.2)

    def run() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
