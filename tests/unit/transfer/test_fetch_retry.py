"""How long a store is waited for, and what counts as movement."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from datums.stores.errors import Unavailable
from datums.transfer import fetch_retry, flights
from datums.transfer.fetch_retry import GIVE_UP_SECONDS, Moving, Patience
from datums.transfer.fetch_stores import Line
from datums.transfer.flights import Flight
from tests.unit.transfer.clock import Clock


class Ticking(Clock):
    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Ticking()
    for module in (fetch_retry, flights):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def flight(clock: Clock) -> Flight:
    return Flight("s3://b/k")


@pytest.fixture
def patience(clock: Clock, flight: Flight) -> Patience:
    return Patience(cast(Line, None), flight, clock.sleep)


def test_what_waited_for_its_turn_is_tried_as_long_as_any_other(clock: Clock, patience: Patience) -> None:
    clock.sleep(GIVE_UP_SECONDS * 2)  # nothing was asked for yet
    for _ in range(5):
        patience.after(Unavailable("503"))
    clock.sleep(GIVE_UP_SECONDS - 10)
    patience.after(Unavailable("503"))
    clock.sleep(GIVE_UP_SECONDS)
    with pytest.raises(Unavailable):
        patience.after(Unavailable("503"))


def test_some_tries_are_made_however_long_each_takes(clock: Clock, patience: Patience) -> None:
    for _ in range(4):
        clock.sleep(GIVE_UP_SECONDS)
        patience.after(Unavailable("broken off"))
    with pytest.raises(Unavailable):
        patience.after(Unavailable("broken off"))


def test_what_breaks_off_at_the_same_place_each_time_is_given_up(clock: Clock, patience: Patience, flight: Flight) -> None:
    moving = Moving(flight, patience, threading.Event())
    tries = 0
    with pytest.raises(Unavailable):
        while tries < 1000:
            tries += 1
            came = moving.on_from(5000)
            for size in (100, 0, 200):
                came(size)
                clock.sleep(1)
            patience.after(Unavailable("broken off"))
    assert 10 < tries < 1000


def test_what_gets_a_little_further_each_time_is_not(clock: Clock, patience: Patience, flight: Flight) -> None:
    counted: list[int] = []
    moving = Moving(flight, patience, threading.Event(), counted.append)
    for n in range(200):
        moving.on_from(5000)(n + 1)
        clock.sleep(GIVE_UP_SECONDS / 2)
        patience.after(Unavailable("broken off"))
    assert sum(counted) == sum(range(201))


def test_who_is_called_off_hears_of_it(flight: Flight, patience: Patience) -> None:
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Unavailable, match="stopped"):
        Moving(flight, patience, stopped).on_from(0)(1)
