"""The pace of requests to one store, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

import pytest

from datums.transfer import pace
from datums.transfer.pace import Pace
from tests.unit.transfer.clock import Clock

Holding: TypeAlias = Callable[[Pace, Clock], AbstractContextManager[None]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


@contextmanager
def waiting(one: Pace, clock: Clock) -> Iterator[None]:
    with one.slot():
        yield


@contextmanager
def asking(one: Pace, clock: Clock) -> Iterator[None]:
    """As one thread does that has many requests on their way."""
    while (pause := one.take()) > 0:
        clock.sleep(pause)
    yield
    one.give_back()


WAYS = pytest.mark.parametrize("holding", [waiting, asking])


class Bucket:
    """A store that answers so many requests a second, after some at once."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        self._clock, self._rate, self._burst = clock, rate, burst
        self._tokens, self._seen = burst, clock.now

    def answers(self) -> bool:
        self._clock.now += 0.001
        self._tokens = min(self._burst, self._tokens + (self._clock.now - self._seen) * self._rate)
        self._seen = self._clock.now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@WAYS
@pytest.mark.parametrize(("rate", "count"), [(20.0, 2000), (100.0, 5000), (600.0, 30000)])
def test_it_settles_near_what_the_store_gives(clock: Clock, rate: float, count: int, holding: Holding) -> None:
    store, one = Bucket(clock, rate, burst=20), Pace(16)
    began, done, refused = clock.now, 0, 0
    while done < count:
        with holding(one, clock):
            answered = store.answers()
        if answered:
            done += 1
            one.went_well()
        else:
            refused += 1
            one.throttled()
    assert refused < count / 20
    assert clock.now - began < 2 * count / rate


@WAYS
def test_nothing_is_held_back_while_nothing_is_refused(clock: Clock, holding: Holding) -> None:
    one = Pace(4)
    for _ in range(1000):
        with holding(one, clock):
            pass
        one.went_well()
    assert (clock.now, one.allowed, one.rate) == (1000.0, 4, 0.0)


@WAYS
def test_half_of_the_requests_after_a_refusal_and_all_again_later(clock: Clock, holding: Holding) -> None:
    one = Pace(8)
    for _ in range(5):
        one.throttled()  # all answer requests of one moment
    assert one.allowed == 4
    for _ in range(20_000):
        with holding(one, clock):
            clock.sleep(0.001)
        one.went_well()
    assert (one.allowed, one.rate) == (8, 0.0)


@WAYS
def test_a_rest_that_is_asked_for_is_kept_but_not_for_hours(clock: Clock, holding: Holding) -> None:
    one = Pace(2)
    one.throttled(7.0)
    with holding(one, clock):
        assert 1007 <= clock.now < 1008
    one.went_well()
    one.throttled(86_400)
    with holding(one, clock):
        assert 1066 < clock.now < 1070


def test_who_asks_is_told_when_to_ask_again_and_never_waits(clock: Clock) -> None:
    one = Pace(2)
    assert [one.take(), one.take()] == [0.0, 0.0]
    assert 0 < one.take() < 0.1
    one.give_back()
    assert one.take() == 0.0
    for _ in range(2):
        one.give_back()
    one.throttled(7.0)
    assert one.take() == one.take() == 7.0
    clock.now += 7
    assert one.take() == 0.0
    assert 0 < one.take() < 0.1  # half of them
    assert clock.now == 1007


def test_no_more_begin_in_a_second_than_the_store_answers(clock: Clock) -> None:
    one = Pace(8)
    for _ in range(100):
        one.went_well()
        clock.now += 0.01
    one.throttled()
    rate, begun = one.rate, 0
    assert 50 < rate < 100
    clock.now = until = clock.now + 1.0
    while clock.now < until + 2:
        pause = one.take()
        if pause == 0.0:
            begun += 1
            one.give_back()
        clock.now += max(0.001, pause)
    assert 0.8 * rate <= begun / 2 <= 1.25 * rate


def test_a_place_is_given_back_whatever_happens_in_it(clock: Clock) -> None:
    one = Pace(1)
    with pytest.raises(ValueError, match="broken"), one.slot():
        raise ValueError("broken")
    with one.slot():
        pass
