from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from datums.api.execution_status import ExecutionStatus
from datums.control.executions import status, units
from datums.control.executions.verdict import Outcome
from datums.model.commit import Pinned, Problem
from tests.unit.control.executions.kit import NOW, active, at, ended, execution, pod, verified

FAILED = Outcome(reason="NonZeroExit", message="command exited with code 3", exit_code=3)
GOOD = Outcome(reason="Committed", message="saved", exit_code=0)


def condition(of: ExecutionStatus) -> tuple[str, str, str]:
    (one,) = of.conditions
    return one.status, one.reason, one.message


def test_the_end() -> None:
    after = status.ended(active(), NOW + 130, GOOD, verified(), pod(main=ended()))
    assert condition(after) == ("True", "Committed", "saved")
    assert (after.completion_time, after.duration, after.progress) == (at(130), "2m20s", "2 files, 20 B")
    assert after.attempts == ()


def test_how_long_each_phase_took() -> None:
    found = verified()
    commit = msgspec.structs.replace(found.commit, timings={"uploaded": 1.25, "committed": 1.254})
    fetched = ended(0, message='{"files":2,"bytes":9,"seconds":0.41849}', when=-8)
    of = pod(fetch=fetched, ship={"running": {"startedAt": at(-8)}}, main=ended())
    took = status.ended(active(), NOW, GOOD, replace(found, commit=commit), of)
    assert took.timings is not None
    assert msgspec.to_builtins(took.timings) == {
        "queued": 1.0,
        "pulled": 4.0,
        "downloaded": 0.418,
        "ran": 4.0,
        "uploaded": 1.25,
        "committed": 0.004,
    }


def test_a_failure_without_retries_has_its_own_reason() -> None:
    after = status.ended(active(), NOW, FAILED, verified(), pod(main=ended(3)))
    assert condition(after)[:2] == ("False", "NonZeroExit")
    assert [(a.attempt, a.reason, a.exit_code) for a in after.attempts] == [(1, "NonZeroExit", 3)]


def test_a_failure_with_retries_left_goes_on() -> None:
    after = status.ended(active(backoffLimit=1), NOW, FAILED, None, pod(main=ended(3)))
    assert condition(after)[:2] == ("Unknown", "Queued")
    assert (after.pod, after.failed, after.completion_time) == (None, 1, None)
    assert "attempt 2 begins in 10s" in condition(after)[2]


def test_the_last_failure() -> None:
    last = execution({"attempt": 2, "failed": 1, "pod": "train-2-x", "startTime": at(-60)}, backoffLimit=1)
    after = status.ended(last, NOW, FAILED, None, pod(main=ended(3)))
    assert condition(after)[:2] == ("False", "BackoffLimitExceeded")
    assert "2 attempts failed" in condition(after)[2] and "NonZeroExit" in condition(after)[2]


def test_what_is_not_worth_a_retry_ends_at_once() -> None:
    after = status.ended(active(backoffLimit=5), NOW, Outcome(reason="InputNotFound", message="x"), None, None)
    assert condition(after)[:2] == ("False", "InputNotFound")


def test_a_suspended_attempt_is_no_failure() -> None:
    after = status.ended(active(), NOW, Outcome(reason="Suspended", message="x"), verified(), None)
    assert condition(after)[:2] == ("Unknown", "Suspended")
    assert (after.pod, after.failed, after.start_time) == (None, 0, None)
    resumed = status.started(msgspec.structs.replace(active(), status=after), NOW + 9, 2, "train-2-x")
    assert (resumed.attempt, resumed.start_time, resumed.outputs) == (2, at(9), None)


def test_the_same_again_is_equal() -> None:
    first = status.waiting(execution(), NOW, "StoreNotReady", "x")
    again = status.waiting(msgspec.structs.replace(execution(), status=first), NOW + 60, "StoreNotReady", "x")
    assert again == first


def test_the_last_ten_attempts_are_kept() -> None:
    now = active(backoffLimit=100)
    for attempt in range(1, 15):
        before = msgspec.structs.replace(now.status, attempt=attempt, pod=f"p{attempt}")
        now = msgspec.structs.replace(
            now, status=status.ended(msgspec.structs.replace(now, status=before), NOW, FAILED, None, None)
        )
    assert [a.attempt for a in now.status.attempts] == list(range(5, 15))
    assert now.status.failed == 14


@pytest.mark.parametrize(("failed", "seconds"), [(1, 10), (2, 20), (3, 40), (6, 320), (7, 360), (100, 360)])
def test_back_off(failed: int, seconds: float) -> None:
    assert status.back_off(failed) == seconds


def test_it_stays_small_whatever_it_is_told() -> None:
    problems = tuple(Problem(f"{i}-" + "p" * 900, "m" * 900) for i in range(16))
    pinned = tuple(Pinned(name=f"i{i}", link="l" * 500, pinned="l" * 500) for i in range(256))
    after = active(backoffLimit=100)
    long = Outcome(reason="NonZeroExit", message="x" * 20_000, exit_code=3)
    for attempt in range(1, 12):
        before = msgspec.structs.replace(after.status, attempt=attempt, pod="p" * 63)
        before_it = msgspec.structs.replace(after, status=before)
        found = verified(3, problems, pinned, ("r" * 900,) * 20)
        after = msgspec.structs.replace(after, status=status.ended(before_it, NOW, long, found, None))
    assert len(msgspec.json.encode(after.status)) < 9 * 1024
    assert after.status.outputs is not None and len(after.status.outputs.problems) >= 1
    assert after.status.inputs is not None and len(after.status.inputs.pinned) >= 1
    assert condition(after.status)[2].endswith("x")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234567, "1.2 MB"), (12_345_678, "12 MB"), (640e6, "640 MB"), (12.8e9, "13 GB")],
)
def test_size(count: float, words: str) -> None:
    assert units.size(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0s"), (8.2, "8s"), (130, "2m10s"), (11100, "3h5m"), (3600, "1h"), (187_200, "2d4h")]
)
def test_duration(seconds: float, words: str) -> None:
    assert units.duration(seconds) == words


def test_a_status_survives_the_wire() -> None:
    after = status.ended(active(), NOW, FAILED, verified(2, (Problem("a", "b"),), (Pinned(name="x", link="l", pinned="l"),)), None)
    assert msgspec.convert(msgspec.to_builtins(after), ExecutionStatus) == after
