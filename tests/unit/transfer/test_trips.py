"""When requests to a store are sent, and sent again: on a clock of the test's own, to a store that keeps its answers here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest

from datums.stores import errors
from datums.stores.errors import StoreError
from datums.stores.protocol import Batch, Store
from datums.transfer import pace, trips
from datums.transfer.pace import Pace
from datums.transfer.trips import Trips
from tests.unit.transfer.clock import Clock

if TYPE_CHECKING:
    from typing_extensions import Buffer

LOST = errors.Unavailable("lost")


class Memory:
    """A store and its one batch. Everything ends at the next `take`, but for what `keeps` names."""

    def __init__(self, clock: Clock, answers: dict[str, list[StoreError]] | None = None) -> None:
        self.sent: list[tuple[float, str]] = []
        """When what was sent."""
        self.keeps: set[str] = set()
        self.unsendable: set[str] = set()
        self._clock = clock
        self._answers = answers or {}
        self._flying: list[str] = []
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def batch(self, at_once: int) -> Memory:
        return self

    def __len__(self) -> int:
        return len(self._flying)

    def put(self, tag: str, key: str, data: Buffer) -> None:
        if key in self.unsendable:
            raise errors.UnsupportedKey(key)
        self.sent.append((self._clock.now, tag))
        self._flying.append(tag)

    def take(self, seconds: float) -> Iterator[tuple[str, Buffer | StoreError]]:
        ended = [tag for tag in self._flying if tag not in self.keeps]
        if not ended:
            self._clock.sleep(seconds)
        for tag in ended:
            self._flying.remove(tag)
            answers = self._answers.get(tag)
            yield tag, answers.pop(0) if answers else b"well"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(trips, "time", clock)
    monkeypatch.setattr(pace, "time", clock)
    return clock


def trips_to(
    store: Callable[[], Memory], one: Pace, failed: Callable[[str, StoreError], float | None] = lambda trip, error: 5.0
) -> Trips[str]:
    def send(batch: Batch[str], trip: str) -> None:
        batch.put(trip, trip, b"")

    return Trips(cast("Callable[[], Store]", store), 8, one, send, failed)


def run(some: Trips[str], begin: list[str]) -> dict[str, Any]:
    """Begins requests as soon as they may be, and gives what becomes of all."""
    ended: dict[str, Any] = {}
    for _ in range(1000):
        if not begin and not len(some):
            return ended
        pause = 0.2
        while begin and (pause := some.begin(begin[0])) == 0.0:
            begin.pop(0)
        if not len(some):
            trips.time.sleep(pause)  # the clock's
        for trip, answer in some.turn(pause or 0.2):
            assert trip not in ended
            ended[trip] = answer
    pytest.fail(f"it comes to no end: {ended}")


def places(one: Pace) -> int:
    """How many are free."""
    free = 0
    while one.take() == 0.0:
        free += 1
    for _ in range(free):
        one.give_back()
    return free


def test_what_fails_is_sent_again_after_its_pause(clock: Clock) -> None:
    store, one = Memory(clock, {"b": [LOST, LOST]}), Pace(4)
    pauses = [5.0, 7.0]
    assert run(trips_to(lambda: store, one, lambda *_: pauses.pop(0)), ["a", "b", "c"]) == dict.fromkeys("abc", b"well")
    assert [tag for _, tag in store.sent] == ["a", "b", "c", "b", "b"]
    assert [round(at - 1000, 3) for at, tag in store.sent if tag == "b"] == [0, 5, 12]
    assert places(one) == 4


def test_what_is_due_first_is_sent_first(clock: Clock) -> None:
    store = Memory(clock, {tag: [LOST] for tag in "abc"})
    some = trips_to(lambda: store, Pace(4), lambda trip, _: {"a": 3.0, "b": 1.0, "c": 2.0}[trip])
    run(some, ["a", "b", "c"])
    assert [tag for _, tag in store.sent[3:]] == ["b", "c", "a"]


def test_an_error_can_be_the_answer(clock: Clock) -> None:
    store, one = Memory(clock, {"a": [LOST]}), Pace(4)
    assert run(trips_to(lambda: store, one, lambda *_: None), ["a", "b"]) == {"a": LOST, "b": b"well"}
    assert places(one) == 4


def test_what_cannot_be_sent_is_judged_as_any_failure(clock: Clock) -> None:
    store, one = Memory(clock), Pace(4)
    store.unsendable = {"odd"}
    judged: list[tuple[str, type[StoreError]]] = []

    def failed(trip: str, error: StoreError) -> float | None:
        judged.append((trip, type(error)))
        return 1.0 if len(judged) < 3 else None

    ended = run(trips_to(lambda: store, one, failed), ["a", "odd", "b"])
    assert (ended.pop("a"), ended.pop("b"), type(ended.pop("odd"))) == (b"well", b"well", errors.UnsupportedKey)
    assert ended == {}
    assert judged == [("odd", errors.UnsupportedKey)] * 3
    assert clock.now == pytest.approx(1002)
    assert places(one) == 4


def test_a_store_that_cannot_be_opened_is_opened_later(clock: Clock) -> None:
    store, one, opened = Memory(clock), Pace(4), list[float]()

    def open_it() -> Memory:
        opened.append(clock.now)
        if len(opened) <= 2:
            raise LOST
        return store

    assert run(trips_to(open_it, one), ["a"]) == {"a": b"well"}
    assert opened == pytest.approx([1000, 1005, 1010])
    assert places(one) == 4


def test_what_ends_it_all_passes_through(clock: Clock) -> None:
    store, one = Memory(clock, {"a": [LOST]}), Pace(1)

    def failed(trip: str, error: StoreError) -> float:
        raise ValueError(trip)

    some = trips_to(lambda: store, one, failed)
    with pytest.raises(ValueError, match="a"):
        run(some, ["a"])
    assert len(some) == 0
    assert places(one) == 1


def test_no_more_are_on_their_way_than_the_pace_allows(clock: Clock) -> None:
    store, one = Memory(clock), Pace(2)
    some = trips_to(lambda: store, one)
    assert [some.begin("a"), some.begin("b")] == [0.0, 0.0]
    assert some.begin("c") > 0
    assert [tag for _, tag in store.sent] == ["a", "b"]
    assert len(some) == 2
    store.keeps = {"b"}
    assert list(some.turn(0.2)) == [("a", b"well")]
    assert some.begin("c") == 0.0
    assert some.begin("d") > 0
    store.keeps = set()
    assert dict(some.turn(0.2)) == {"b": b"well", "c": b"well"}
    assert len(some) == 0


def test_what_failed_is_sent_before_anything_new(clock: Clock) -> None:
    """Else it would wait as long as there is anything new."""
    store, one = Memory(clock, {"a": [LOST, LOST]}), Pace(2)
    some = trips_to(lambda: store, one, lambda *_: 1.0)
    store.keeps = {"b"}
    assert some.begin("a") == some.begin("b") == 0.0
    assert list(some.turn(0.2)) == []
    assert some.begin("c") == 0.0  # a's time has not come
    clock.sleep(2.0)
    assert some.begin("d") > 0
    assert list(some.turn(0.2)) == [("c", b"well")]  # the pace has no place for a
    assert some.begin("d") > 0
    assert list(some.turn(0.2)) == []
    assert [tag for _, tag in store.sent] == ["a", "b", "c", "a"]
    store.keeps = set()
    assert run(some, ["d"]) == dict.fromkeys("abd", b"well")
    assert len(some) == 0


def test_a_rest_that_the_store_asks_for_is_kept(clock: Clock) -> None:
    store, one = Memory(clock, {"a": [errors.Throttled("slow down", retry_after=7.0)]}), Pace(4)

    def failed(trip: str, error: StoreError) -> float:
        assert isinstance(error, errors.Throttled)
        one.throttled(error.retry_after)
        return 0.0

    some = trips_to(lambda: store, one, failed)
    assert some.begin("a") == 0.0
    assert list(some.turn(0.2)) == []
    assert some.begin("b") > 0  # what failed is older
    assert run(some, ["b", "c"]) == dict.fromkeys("abc", b"well")
    assert len(store.sent) == 4
    begun = [at for at, _ in store.sent[1:]]
    assert begun[0] == pytest.approx(1007)
    assert one.rate > 0
    assert all(later - at >= 0.7 / one.rate for at, later in pairwise(begun))


def test_what_came_can_be_asked_for_again(clock: Clock) -> None:
    store, one = Memory(clock), Pace(2)
    some = trips_to(lambda: store, one)
    some.begin("a")
    assert list(some.turn(0.2)) == [("a", b"well")]
    some.again("a", 3.0)
    assert len(some) == 1
    assert run(some, ["b"]) == {"a": b"well", "b": b"well"}
    assert store.sent == [(1000.0, "a"), (1000.0, "b"), (pytest.approx(1003.0), "a")]


def test_a_turn_takes_no_longer_than_it_may(clock: Clock) -> None:
    store = Memory(clock)
    some = trips_to(lambda: store, Pace(2))
    assert list(some.turn(60.0)) == []  # there is nothing to wait for
    assert clock.now == 1000.0
    some.again("late", 5.0)
    assert list(some.turn(2.0)) == []
    assert clock.now == 1002.0
    store.keeps = {"late"}
    assert list(some.turn(60.0)) == []
    assert clock.now == 1005.0
    assert list(some.turn(2.0)) == []
    assert clock.now == 1007.0
    some.again("soon", 1.0)
    assert list(some.turn(60.0)) == []  # up to when there is something to send
    assert clock.now == 1008.0


def test_a_renewed_store_is_used_once_nothing_is_on_its_way(clock: Clock) -> None:
    stores = [Memory(clock)]
    some = trips_to(lambda: stores[-1], Pace(4))
    some.begin("a")
    stores.append(Memory(clock))
    assert some.begin("b") > 0
    assert dict(some.turn(0.2)) == {"a": b"well"}
    assert some.begin("b") == 0.0
    assert dict(some.turn(0.2)) == {"b": b"well"}
    assert [[tag for _, tag in store.sent] for store in stores] == [["a"], ["b"]]
    assert [store.is_closed for store in stores] == [True, False]
