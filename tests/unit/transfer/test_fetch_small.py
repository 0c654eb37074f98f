"""The thread that loads small files, of which the first may come while the rest is still being listed."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from datums.stores import errors
from datums.stores.errors import StoreError
from datums.transfer.ahead import ahead
from datums.transfer.fetch_early import Early
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_small import SMALL_BYTES, SmallFiles
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.pace import Pace
from datums.transfer.workers import Stopped

if TYPE_CHECKING:
    from typing_extensions import Buffer


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.002)


class Memory:
    """A store and its one batch: a file's bytes are its key and ETag. It keeps back what `keeps` names, and refuses `gone` once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.keeps: set[str] = set()
        self.gone: set[str] = set()
        self.is_closed = False
        self._flying: list[tuple[Any, str, str]] = []

    def batch(self, at_once: int) -> Memory:
        return self

    def uri(self, key: str) -> str:
        return f"s3://b/{key}"

    def __len__(self) -> int:
        return len(self._flying)

    def read(self, tag: Any, key: str, offset: int, length: int, *, etag: str = "", version: str = "") -> None:
        self.asked.append(key)
        self._flying.append((tag, key, etag))

    def take(self, seconds: float) -> Iterator[tuple[Any, Buffer | StoreError]]:
        ended = [flying for flying in self._flying if flying[1] not in self.keeps]
        self._flying = [flying for flying in self._flying if flying[1] in self.keeps]
        if not ended:
            time.sleep(0.001)
        for tag, key, etag in ended:
            if key in self.gone:
                self.gone.discard(key)
                yield tag, errors.NotFound("gone", store="s", key=key)
            else:
                yield tag, f"{key} {etag}".encode()

    def close(self) -> None:
        self.is_closed = True


class Arrived:
    """What stands for `Arrivals`; `damaged` are taken for damaged once."""

    def __init__(self, damaged: Sequence[str] = ()) -> None:
        self.files: list[tuple[int, bytes]] = []
        self._damaged = set(damaged)

    def is_there(self, wanted: Wanted) -> bool:
        return wanted.loaded

    def take(self, files: Sequence[tuple[Wanted, Sequence[bytes]]], *, last: bool) -> list[Wanted]:
        ((wanted, pieces),) = files
        if wanted.key in self._damaged:
            self._damaged.discard(wanted.key)
            return [wanted]
        self.files.append((wanted.id, b"".join(pieces)))
        return []

    def refused(self, error: StoreError, wanted: Wanted) -> FetchError:
        return FetchError("InputNotFound", f"{wanted.key}: {error}")


@pytest.fixture
def memory() -> Memory:
    return Memory()


class Loading:
    """One `SmallFiles`, and what it works on."""

    def __init__(self, memory: Memory, arrived: Arrived, held: int = 1 << 20) -> None:
        self.stopped = Stopped()
        self.progress = Progress()
        self._memory = memory
        self._arrived = arrived
        self.pace = Pace(4)
        line: Any = SimpleNamespace(store=memory, pace=self.pace)
        self.small = SmallFiles(line, self.progress, self.stopped, at_once=4, held=held)

    def load_early(self, files: Sequence[Wanted]) -> None:
        """Offers files, and returns when all have come."""
        self.small.offer(files)
        wait_for(lambda: self._memory.asked == [wanted.key for wanted in files] and not len(self._memory))

    def go(self, files: Sequence[Wanted]) -> None:
        arrivals: Any = self._arrived
        self.small.go(iter(files), arrivals)
        self.small.join()
        self.stopped.check()
        assert not self.progress.flights.stuck(-1.0)


def listed(*names: str, size: int = 100, etag: str = "e", first: int = 0) -> list[Wanted]:
    return [
        Wanted(path=name, store="s", key=name, size=size, etag=etag, id=number) for number, name in enumerate(names, start=first)
    ]


def test_what_was_offered_comes_once_and_early(memory: Memory) -> None:
    arrived = Arrived()
    loading = Loading(memory, arrived)
    loading.load_early(listed("a", "b", first=-9))
    assert arrived.files == []
    loading.go(listed("a", "b", "c", first=1))
    assert sorted(arrived.files) == [(1, b"a e"), (2, b"b e"), (3, b"c e")]
    assert memory.asked == ["a", "b", "c"]
    assert memory.is_closed


def test_what_is_on_its_way_is_not_asked_for_again(memory: Memory) -> None:
    memory.keeps = {"a"}
    arrived = Arrived()
    loading = Loading(memory, arrived)
    loading.small.offer(listed("a"))
    wait_for(lambda: memory.asked == ["a"])
    threading.Timer(0.05, memory.keeps.clear).start()
    loading.go(listed("a", "b", first=1))
    assert sorted(arrived.files) == [(1, b"a e"), (2, b"b e")]
    assert memory.asked.count("a") == 1


def test_no_more_is_offered_room_than_a_part_of_the_memory(memory: Memory) -> None:
    """What was offered and has no room must not keep from its turn what gives room."""
    arrived = Arrived()
    loading = Loading(memory, arrived, held=400)
    loading.small.offer(listed("a", "b", "c", "d"))
    wait_for(lambda: len(memory.asked) == 2 and not len(memory))
    time.sleep(0.05)
    assert memory.asked == ["a", "b"]
    loading.go(listed("a", "b", "c", "d", "e"))
    assert len(arrived.files) == 5
    assert sorted(memory.asked) == ["a", "b", "c", "d", "e"]


def test_of_another_version_nothing_is_taken(memory: Memory) -> None:
    arrived = Arrived()
    loading = Loading(memory, arrived)
    loading.load_early(listed("a", etag="old"))
    loading.go(listed("a", etag="new"))
    assert arrived.files == [(0, b"a new")]


def test_an_early_error_is_none_until_its_turn(memory: Memory) -> None:
    memory.gone = {"a"}
    arrived = Arrived()
    loading = Loading(memory, arrived)
    loading.load_early(listed("a"))
    loading.go(listed("a"))
    assert arrived.files == [(0, b"a e")]
    assert memory.asked == ["a", "a"]


def test_an_error_in_its_turn_ends_all(memory: Memory) -> None:
    memory.gone = {"a"}
    loading = Loading(memory, Arrived())
    with pytest.raises(FetchError, match="a: gone"):
        loading.go(listed("a"))


def test_what_came_early_and_is_damaged_is_loaded_again(memory: Memory) -> None:
    arrived = Arrived(damaged=["a"])
    loading = Loading(memory, arrived)
    loading.load_early(listed("a"))
    loading.go(listed("a"))
    assert arrived.files == [(0, b"a e")]
    assert memory.asked == ["a", "a"]


def test_there_is_always_room_for_one_whose_turn_it_is(memory: Memory) -> None:
    """What has come early and is not listed again takes room until the end."""
    arrived = Arrived()
    loading = Loading(memory, arrived, held=400)
    loading.load_early(listed("a", "b"))
    loading.go(listed("c", size=300))
    assert arrived.files == [(0, b"c e")]


def test_what_is_not_listed_in_the_end_is_not_waited_for(memory: Memory) -> None:
    memory.keeps = {"a"}
    arrived = Arrived()
    loading = Loading(memory, arrived)
    loading.small.offer(listed("a"))
    wait_for(lambda: memory.asked == ["a"])
    loading.go(listed("b"))
    assert arrived.files == [(0, b"b e")]


def test_what_is_listed_while_the_thread_looks_around_is_loaded(memory: Memory) -> None:
    """`go` comes between the look for work and the question whether there will be more."""
    arrived = Arrived()
    loading = Loading(memory, arrived)
    arrivals: Any = arrived
    begin, went = loading.small._begin, threading.Event()

    def begin_and_go() -> float:
        pause = begin()
        if not went.is_set():
            went.set()
            loading.small.go(iter(listed("a")), arrivals)
        return pause

    loading.small._begin = begin_and_go  # type: ignore[method-assign]
    loading.small.join()
    assert arrived.files == [(0, b"a e")]


def test_no_more_are_offered_than_are_worth_their_memory() -> None:
    early: Early[str] = Early()
    files = [Wanted(path=f"{n}", store="s", key=f"{n}", size=1, etag="e", id=n) for n in range(3000)]
    early.offer(files[:1500])
    for _ in range(1000):
        wanted = early.next()
        assert wanted is not None
        early.begin(wanted, wanted.key)
    early.offer(files[1500:])
    left = 0
    while early.next() is not None:
        left += 1
    assert left == 1000
    assert [early.take(files[0]), early.take(files[0]), early.take(files[2999])] == ["0", None, None]


def test_files_leave_some_requests_to_the_list(memory: Memory) -> None:
    names = [f"{n}" for n in range(8)]
    memory.keeps = set(names)
    loading = Loading(memory, Arrived())
    loading.small.offer(listed(*names))
    wait_for(lambda: len(memory.asked) == 3)
    time.sleep(0.05)
    assert len(memory.asked) == 3
    memory.keeps.clear()
    loading.go(listed(*names))


def test_who_waits_for_room_does_not_stand_still(memory: Memory) -> None:
    loading = Loading(memory, Arrived(), held=200)
    loading.small.offer(listed("a", "b"))
    wait_for(lambda: memory.asked == ["a"] and not len(memory))
    time.sleep(0.02)
    assert not loading.progress.flights.stuck(-1.0)
    loading.go(listed("a", "b"))


def test_a_thread_that_fails_gives_its_places_back(memory: Memory) -> None:
    memory.keeps = {"a", "b"}
    loading = Loading(memory, Arrived())
    loading.small.offer(listed("a", "b"))
    wait_for(lambda: len(memory.asked) == 2)
    memory.take = None  # type: ignore[method-assign,assignment]
    wait_for(loading.stopped.is_set)
    loading.small.join()
    for _ in range(4):
        assert loading.pace.take() == 0.0


def test_what_is_large_or_of_no_certain_version_waits(memory: Memory) -> None:
    loading = Loading(memory, Arrived())
    loading.small.offer([*listed("large", size=SMALL_BYTES + 1), *listed("empty", size=0), *listed("any", etag=""), *listed("a")])
    wait_for(lambda: memory.asked == ["a"])
    loading.go([])
    assert memory.asked == ["a"]


def test_what_is_called_off_while_it_is_listed_ends(memory: Memory) -> None:
    loading = Loading(memory, Arrived())
    loading.small.offer(listed("a"))
    wait_for(lambda: memory.asked == ["a"])
    loading.stopped.set()
    loading.small.join()
    assert memory.is_closed


def test_the_next_item_is_got_meanwhile() -> None:
    got: list[int] = []
    met = threading.Barrier(2, timeout=10)

    def items() -> Iterator[int]:
        yield 1
        met.wait()
        yield 2

    for item in ahead(items()):
        if item == 1:
            met.wait()
        got.append(item)
    assert got == [1, 2]


def test_without_a_further_thread_items_come_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert list(ahead(iter([1, 2]))) == [1, 2]


def test_an_error_comes_in_the_place_of_its_item() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the second")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the second"):
        next(coming)


class Lost(Exception):
    """Can be referred to weakly."""


def test_an_error_is_let_go_of_at_once() -> None:
    """Its traceback has pages of the list; the garbage collector comes rarely."""

    def items() -> Iterator[int]:
        raise Lost
        yield 1

    raised: list[weakref.ref[Lost]] = []
    gc.disable()
    try:
        try:
            next(ahead(items()))
        except Lost as error:
            raised.append(weakref.ref(error))
        wait_for(lambda: raised[0]() is None)
    finally:
        gc.enable()


def test_who_leaves_early_leaves_no_thread_behind() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            asked.append(n)
            yield n

    before = threading.active_count()
    coming = ahead(items())
    next(coming)
    coming.close()
    wait_for(lambda: threading.active_count() == before)
    assert len(asked) <= 4
