"""The pace of requests to one store, on a clock of the test's own."""

from __future__ import annotations

import pytest

from datums.transfer import pace
from datums.transfer.flights import Abandoned
from datums.transfer.pace import Pace


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


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


@pytest.mark.parametrize(("rate", "count"), [(20.0, 2000), (100.0, 5000), (600.0, 30000)])
def test_it_settles_near_what_the_store_gives(clock: Clock, rate: float, count: int) -> None:
    store, one = Bucket(clock, rate, burst=20), Pace(16)
    began, done, refused = clock.now, 0, 0
    while done < count:
        with one.slot():
            answered = store.answers()
        if answered:
            done += 1
            one.went_well()
        else:
            refused += 1
            one.throttled()
    assert refused < count / 20
    assert clock.now - began < 2 * count / rate


def test_nothing_is_held_back_while_nothing_is_refused(clock: Clock) -> None:
    one = Pace(4)
    for _ in range(1000):
        with one.slot():
            pass
        one.went_well()
    assert (clock.now, one.allowed, one.rate) == (1000.0, 4, 0.0)


def test_half_of_the_requests_after_a_refusal_and_all_again_later(clock: Clock) -> None:
    one = Pace(8)
    for _ in range(5):
        one.throttled()  # all answer requests of one moment
    assert one.allowed == 4
    for _ in range(20_000):
        with one.slot():
            clock.sleep(0.001)
        one.went_well()
    assert (one.allowed, one.rate) == (8, 0.0)


def test_a_rest_that_is_asked_for_is_kept_but_not_for_hours(clock: Clock) -> None:
    one = Pace(2)
    one.throttled(7.0)
    with one.slot():
        assert 1007 <= clock.now < 1008
    one.went_well()
    one.throttled(86_400)
    with one.slot():
        assert 1066 < clock.now < 1070


def test_the_place_of_a_thread_that_is_left_behind_is_given_back_once(clock: Clock) -> None:
    one = Pace(1)
    with pytest.raises(Abandoned), one.slot():
        one.give_back()  # by who leaves it behind
        raise Abandoned
    with one.slot():
        pass
    with pytest.raises(ValueError, match="broken"), one.slot():
        raise ValueError("broken")
    with one.slot():
        pass
