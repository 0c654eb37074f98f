from __future__ import annotations

from typing import Any

import msgspec
import pytest

from datums.control.executions.verdict import Outcome, Stop, verdict
from datums.control.executions.verify import Broken, Findings, NoCommit
from datums.control.podview import PodView
from datums.model.commit import FetchResult, Problem
from tests.unit.control.executions.kit import deleted, ended, pod, running, verified, waiting

STOP = Stop("Stopped", "stopped by spec.stop")
TOLD: dict[str, Any] = {"annotations": {"datums.dev/stop": "30"}}


def judged(seen: PodView | None, found: Findings, stop: Stop | None = None) -> Outcome:
    return verdict("churn/train-1-x", seen, found, stop, "64Mi")


def gone(reason: str, message: str = "m") -> tuple[dict[str, Any], ...]:
    scheduled = {"type": "PodScheduled", "status": "True"}
    return (scheduled, {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message})


FETCH_FAILED = ended(1, message=msgspec.json.encode(FetchResult(reason="AccessDenied", message="no")).decode())
TABLE: list[tuple[str, PodView | None, Findings, Stop | None, str, tuple[str, ...]]] = [
    ("good", pod(main=ended()), verified(), None, "Committed", ("2 outputs (20 B)",)),
    ("nothing written", pod(main=ended()), verified(0), None, "Committed", ("no outputs",)),
    (
        "exit code",
        pod(main=ended(3)),
        verified(),
        None,
        "NonZeroExit",
        ("command exited with code 3; 2 outputs (20 B) are kept", "kubectl logs train-1-x -c main -n churn"),
    ),
    ("exit code, one", pod(main=ended(3)), verified(1), None, "NonZeroExit", ("1 output (10 B) is kept",)),
    ("exit code, nothing kept", pod(main=ended(3)), NoCommit(), None, "NonZeroExit", ("no outputs were committed",)),
    ("cannot start", pod(main=ended(128, "StartError", "no such device")), NoCommit(), None, "NonZeroExit", ("no such device",)),
    ("memory", pod(main=ended(137, "OOMKilled")), verified(), None, "OutOfMemory", ("64Mi", "spec.resources.limits.memory")),
    (
        "partial",
        pod(main=ended()),
        verified(2, (Problem("a", "broken"), Problem("b", "x"))),
        None,
        "OutputsPartial",
        ("a: broken; b;",),
    ),
    ("failed and partial", pod(main=ended(1)), verified(2, (Problem("a", "broken"),)), None, "NonZeroExit", ()),
    ("lost", pod(phase="Succeeded", main=ended()), NoCommit(), None, "OutputsLost", ("code 0",)),
    ("a lie", pod(phase="Succeeded", main=ended()), Broken("bad"), None, "OutputsLost", ("bad",)),
    ("stopped", pod(main=ended(), meta=TOLD), verified(), STOP, "Stopped", ("stopped by spec.stop; 2 outputs",)),
    ("stopped, too late", pod(main=ended()), verified(), STOP, "Committed", ()),
    (
        "deleted",
        pod(main=ended(when=-1), meta=deleted(2)),
        verified(),
        None,
        "Evicted",
        ("deleted while the command ran", "2 outputs"),
    ),
    ("deleted in that second", pod(main=ended(when=-2), meta=deleted(2)), verified(), None, "Evicted", ()),
    ("deleted afterwards", pod(main=ended(when=-3), meta=deleted(2)), verified(), None, "Committed", ()),
    ("deleted, killed", pod(phase="Failed", main=ended(137, when=-1), meta=deleted(2)), NoCommit(), None, "Evicted", ()),
    ("deleted before", pod(phase="Failed", main=waiting(), meta=deleted(2)), NoCommit(), None, "Evicted", ("before the command",)),
    ("gone", None, verified(), None, "Evicted", ("2 outputs",)),
    (
        "drained",
        pod(main=ended(when=-1), meta=deleted(2), conditions=gone("EvictionByEvictionAPI")),
        verified(),
        None,
        "Evicted",
        ("drain",),
    ),
    (
        "preempted",
        pod(main=ended(when=-1), meta=deleted(2), conditions=gone("PreemptionByScheduler")),
        verified(),
        None,
        "Evicted",
        ("priority",),
    ),
    (
        "node taken",
        pod(main=running(), meta=deleted(2), conditions=gone("DeletionByTaintManager")),
        NoCommit(),
        None,
        "NodeLost",
        (),
    ),
    (
        "out of disk",
        pod(
            phase="Failed",
            main=ended(137),
            conditions=gone("TerminationByKubelet"),
            status={"reason": "Evicted", "message": "low on ephemeral-storage"},
        ),
        NoCommit(),
        None,
        "Evicted",
        ("ephemeral-storage",),
    ),
    (
        "out of disk after the end",
        pod(phase="Failed", main=ended(), conditions=gone("TerminationByKubelet"), status={"reason": "Evicted"}),
        verified(),
        None,
        "Committed",
        (),
    ),
    ("fetch said why", pod(phase="Failed", fetch=FETCH_FAILED, main=waiting()), NoCommit(), None, "AccessDenied", ("no",)),
    (
        "fetch ran out of memory",
        pod(phase="Failed", fetch=ended(137, "OOMKilled"), main=waiting()),
        NoCommit(),
        None,
        "OutOfMemory",
        ("fetch", "DATUMS_TRANSFER_MEMORY_LIMIT"),
    ),
    (
        "fetch broke",
        pod(phase="Failed", fetch=ended(1, message="Traceback\nKeyError: 'x'"), main=waiting()),
        NoCommit(),
        None,
        "OutputsLost",
        ("KeyError", "-c fetch"),
    ),
    ("unknown end", pod(phase="Failed", main=running()), NoCommit(), None, "OutputsLost", ()),
]


@pytest.mark.parametrize(("seen", "found", "stop", "reason", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_verdict(seen: PodView | None, found: Findings, stop: Stop | None, reason: str, words: tuple[str, ...]) -> None:
    outcome = judged(seen, found, stop)
    assert outcome.reason == reason, outcome
    assert all(word in outcome.message for word in words), outcome.message


def test_the_exit_code_is_reported_whatever_the_reason() -> None:
    assert judged(pod(main=ended(137, "OOMKilled")), verified()).exit_code == 137
    assert judged(pod(main=ended(143), meta=TOLD), verified(), STOP).exit_code == 143
    assert judged(None, verified()).exit_code is None


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("NonZeroExit", True),
        ("OutOfMemory", True),
        ("Evicted", True),
        ("NodeLost", True),
        ("OutputsLost", True),
        ("StoreUnavailable", True),
        ("Stopped", False),
        ("DeadlineExceeded", False),
        ("OutputsPartial", False),
        ("InputNotFound", False),
        ("InvalidPodTemplate", False),
        ("ImagePullFailed", False),
        ("Suspended", False),
    ],
)
def test_what_is_tried_again(reason: str, again: bool) -> None:
    assert Outcome(reason=reason, message="").retryable is again
