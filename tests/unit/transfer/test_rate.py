"""The rate that a user sees is that of now."""

from __future__ import annotations

from datums.transfer.rate import Rate


def rates(*totals: tuple[float, int]) -> list[int]:
    """What is told at these times of these totals."""
    times = iter((0.0, *(at for at, _ in totals)))
    rate = Rate(clock=lambda: next(times))
    return [rate.of(total) for _, total in totals]


def test_from_the_first_moment_there_is_one() -> None:
    assert rates((0.0, 50), (0.1, 100), (1.0, 1000), (2.0, 3000)) == [0, 1000, 1000, 1500]


def test_what_was_long_ago_is_forgotten() -> None:
    steady = [(float(second), 100 * second) for second in range(1, 31)]
    still = [(float(second), 3000) for second in range(31, 51)]
    again = [(float(second), 3000 + 500 * (second - 50)) for second in range(51, 71)]
    told = rates(*steady, *still, *again)
    assert set(told[:30]) == {100}
    assert told[30:40] == sorted(told[30:40], reverse=True)
    assert set(told[40:50]) == {0}
    assert set(told[50:]) == {500}


def test_what_had_gone_through_before_is_no_rate() -> None:
    times = iter((0.0, 2.0))
    assert Rate(1000, clock=lambda: next(times)).of(1100) == 50


def test_who_asks_often_or_seldom_sees_the_same() -> None:
    often = rates(*((tick / 100, tick) for tick in range(1, 3001)))
    seldom = rates((30.0, 3000), (60.0, 6000), (90.0, 9000))
    assert set(often) == set(seldom) == {100}


def test_what_is_begun_anew_is_no_negative_rate() -> None:
    assert rates((5.0, 1000), (6.0, 0), (20.0, 700)) == [200, 0, 50]
