from __future__ import annotations

from typing import Any

import pytest

from datums.control.executions.plan import (
    Adopt,
    Annotate,
    DeleteExecution,
    DeletePod,
    End,
    Observed,
    Plan,
    RenewCredentials,
    Show,
    Start,
    Verify,
    plan,
)
from datums.control.executions.verify import Broken, NoCommit, Trouble
from datums.model.commit import Report
from tests.unit.control.executions.kit import (
    NOW,
    active,
    at,
    deleted,
    ended,
    execution,
    pod,
    running,
    settled,
    verified,
    waiting,
)

UP: dict[str, Any] = {"fetch": ended(), "ship": running(), "main": running(), "gate": running()}
DONE = UP | {"main": ended()}
NEW: dict[str, Any] = {"fetch": waiting(), "main": waiting()}
COMMITTED = Report(phase="Committed")
LONG_AGO = at(-1000)


def decided(**seen: Any) -> Plan:
    return plan(Observed(now=NOW, **seen))


def told(made: Plan) -> list[str]:
    """The actions in short."""
    short = []
    for action in made.actions:
        match action:
            case Show(shown=shown):
                short.append(f"show {shown.reason}")
            case End(outcome=outcome):
                short.append(f"end {outcome.reason}")
            case Annotate(name=name, value=value):
                short.append(f"annotate {name}={value}")
            case DeletePod(pod=gone, grace=grace):
                short.append(f"delete {gone.name} {grace}")
            case Start(attempt=attempt):
                short.append(f"start {attempt}")
            case Adopt(pod=made_pod):
                short.append(f"adopt {made_pod.name}")
            case Verify():
                short.append("verify")
            case RenewCredentials():
                short.append("renew")
            case DeleteExecution():
                short.append("delete execution")
    return short


TABLE: list[tuple[str, dict[str, Any], list[str]]] = [
    ("new", {"execution": execution()}, ["start 1"]),
    ("ended, its pod is gone", {"execution": settled()}, []),
    ("suspended from the start", {"execution": execution(suspend=True)}, ["show Suspended"]),
    ("stopped from the start", {"execution": execution(stop=True)}, ["end Stopped"]),
    ("stop wins over suspend", {"execution": execution(stop=True, suspend=True)}, ["end Stopped"]),
    ("a pod was made and not written down", {"execution": execution(), "others": (pod(**NEW),)}, ["adopt train-1-x"]),
    ("the same, and stopped since", {"execution": execution(stop=True), "others": (pod(**NEW),)}, ["adopt train-1-x"]),
    ("runs", {"execution": active(), "pod": pod(**UP)}, ["show Running"]),
    ("downloads", {"execution": active(), "pod": pod(fetch=running(), main=waiting())}, ["show Downloading"]),
    ("unscheduled", {"execution": active(), "pod": pod(phase="Pending", conditions=())}, ["show Queued"]),
    ("pulls", {"execution": active(), "pod": pod(phase="Pending", **NEW)}, ["show Pulling"]),
    ("main has just ended", {"execution": active(), "pod": pod(**DONE)}, ["show Uploading"]),
    (
        "ship says nothing",
        {"execution": active(), "pod": pod(**UP | {"main": ended(3, when=-4)})},
        ["annotate datums.dev/main-ended=3", "show Uploading"],
    ),
    (
        "ship was told",
        {
            "execution": active(),
            "pod": pod(**UP | {"main": ended(3, when=-4)}, meta={"annotations": {"datums.dev/main-ended": "3"}}),
        },
        ["show Uploading"],
    ),
    (
        "ship knows",
        {"execution": active(), "pod": pod(**UP | {"main": ended(3, when=-4)}), "report": Report(phase="Uploading")},
        ["show Uploading"],
    ),
    ("committed, says ship", {"execution": active(), "pod": pod(**DONE), "report": COMMITTED}, ["verify"]),
    ("committed, says gate", {"execution": active(), "pod": pod(**DONE | {"gate": ended()})}, ["verify"]),
    ("verified", {"execution": active(), "pod": pod(**DONE), "report": COMMITTED, "found": verified()}, ["end Committed"]),
    (
        "verified, the exit code is not known yet",
        {"execution": active(), "pod": pod(**UP), "report": COMMITTED, "found": verified()},
        ["show Committing"],
    ),
    (
        "ship said so, but the store does not",
        {"execution": active(), "pod": pod(**DONE), "report": COMMITTED, "found": NoCommit()},
        ["show Committing"],
    ),
    (
        "the store does not answer",
        {"execution": active(), "pod": pod(phase="Failed", **DONE), "found": Trouble("down")},
        ["show Committing"],
    ),
    ("over without a word", {"execution": active(), "pod": pod(phase="Succeeded", **DONE)}, ["verify"]),
    (
        "over without a commit",
        {"execution": active(), "pod": pod(phase="Succeeded", **DONE), "found": NoCommit()},
        ["end OutputsLost"],
    ),
    ("over with a lie", {"execution": active(), "pod": pod(phase="Succeeded", **DONE), "found": Broken("x")}, ["end OutputsLost"]),
    ("gone", {"execution": active()}, ["verify"]),
    ("gone with its outputs", {"execution": active(), "found": NoCommit()}, ["end Evicted"]),
    ("gone because it was stopped", {"execution": active(stop=True), "found": NoCommit()}, ["end Stopped"]),
    (
        "fetch failed: the store is not asked",
        {"execution": active(), "pod": pod(phase="Failed", fetch=ended(1, message="{"), main=waiting())},
        ["end OutputsLost"],
    ),
    ("stop", {"execution": active(stop=True), "pod": pod(**UP)}, ["annotate datums.dev/stop=30", "show Stopping"]),
    (
        "stopped already",
        {"execution": active(stop=True), "pod": pod(**UP, meta={"annotations": {"datums.dev/stop": "30"}})},
        ["show Stopping"],
    ),
    ("stop when the command has ended", {"execution": active(stop=True), "pod": pod(**DONE)}, ["show Uploading"]),
    ("stop before the command", {"execution": active(stop=True), "pod": pod(**NEW)}, ["end Stopped"]),
    ("suspend before the command", {"execution": active(suspend=True), "pod": pod(**NEW)}, ["end Suspended"]),
    ("suspend", {"execution": active(suspend=True), "pod": pod(**UP)}, ["annotate datums.dev/stop=30", "show Stopping"]),
    (
        "suspended, and resumed before it had ended",
        {
            "execution": active(),
            "pod": pod(**DONE, meta={"annotations": {"datums.dev/stop": "30"}}),
            "report": COMMITTED,
            "found": verified(),
        },
        ["end Suspended"],
    ),
    (
        "deadline",
        {"execution": active(activeDeadlineSeconds=10), "pod": pod(**UP)},
        ["annotate datums.dev/stop=30", "show Stopping"],
    ),
    ("deadline not yet", {"execution": active(activeDeadlineSeconds=11), "pod": pod(**UP)}, ["show Running"]),
    (
        "deadline without a node",
        {"execution": active(activeDeadlineSeconds=10), "pod": pod(phase="Pending", conditions=())},
        ["end Unschedulable"],
    ),
    ("deadline before the command", {"execution": active(activeDeadlineSeconds=10), "pod": pod(**NEW)}, ["end DeadlineExceeded"]),
    ("a pull that may mend", {"execution": active(), "pod": pod(**UP | {"main": waiting("ImagePullBackOff")})}, ["show Pulling"]),
    (
        "a pull that fails for long",
        {"execution": active(), "pod": pod(**UP | {"main": waiting("ImagePullBackOff")}), "image_pull_grace": 1.0},
        ["end ImagePullFailed"],
    ),
    (
        "a pull that cannot mend",
        {"execution": active(), "pod": pod(**UP | {"main": waiting("InvalidImageName")})},
        ["end ImagePullFailed"],
    ),
    ("a deleted pod saves", {"execution": active(), "pod": pod(**UP, meta=deleted(5))}, ["show Stopping"]),
    ("a lost node", {"execution": active(), "pod": pod(**UP, meta=deleted(700, grace=600))}, ["verify"]),
    ("a lost node, no commit", {"execution": active(), "pod": pod(**UP, meta=deleted(700)), "found": NoCommit()}, ["end NodeLost"]),
    ("other credentials", {"execution": active(), "pod": pod(**UP), "stale_credentials": True}, ["renew", "show Running"]),
    (
        "an old pod still runs",
        {"execution": active(), "pod": pod(**UP), "others": (pod(attempt=0, **UP),)},
        ["delete train-0-x None", "show Running"],
    ),
    ("an old pod is done", {"execution": active(), "pod": pod(**UP), "others": (pod(attempt=0, **DONE),)}, ["show Running"]),
    ("ended", {"execution": settled(), "pod": pod(**DONE)}, []),
    ("ended, and its command never started", {"execution": settled("Stopped"), "pod": pod(**NEW)}, ["delete train-1-x 5"]),
    ("ended, its pod is on its way", {"execution": settled("NodeLost"), "pod": pod(**UP, meta=deleted(1))}, []),
    ("ended, time to live left", {"execution": settled(ttlSecondsAfterFinished=9)}, []),
    ("ended, time to live over", {"execution": settled(ttlSecondsAfterFinished=0)}, ["delete execution"]),
    (
        "between attempts, a moment left",
        {"execution": execution({"attempt": 1, "failed": 1, "startTime": LONG_AGO}), "others": (pod(phase="Failed", **DONE),)},
        [],
    ),
    (
        "between attempts",
        {
            "execution": execution({"attempt": 1, "failed": 1, "startTime": LONG_AGO}),
            "others": (pod(phase="Failed", **UP | {"main": ended(1, when=-11), "fetch": ended(when=-12)}),),
        },
        ["start 2"],
    ),
    (
        "between attempts, the old pod is gone",
        {"execution": execution({"attempt": 1, "failed": 1, "startTime": LONG_AGO})},
        ["start 2"],
    ),
    (
        "the deadline is for all attempts",
        {"execution": execution({"attempt": 1, "failed": 1, "startTime": LONG_AGO}, activeDeadlineSeconds=60)},
        ["end DeadlineExceeded"],
    ),
]


@pytest.mark.parametrize(("seen", "actions"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_plan(seen: dict[str, Any], actions: list[str]) -> None:
    assert told(decided(**seen)) == actions


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        ({"execution": active(activeDeadlineSeconds=17), "pod": pod(**UP)}, 7),
        ({"execution": active(), "pod": pod(**DONE)}, 2),
        ({"execution": active(), "pod": pod(**UP | {"main": waiting("ImagePullBackOff")}), "image_pull_grace": 10.0}, 9),
        ({"execution": settled(ttlSecondsAfterFinished=9)}, 9),
        ({"execution": settled()}, None),
        (
            {
                "execution": execution({"attempt": 1, "failed": 2, "startTime": LONG_AGO}),
                "others": (pod(phase="Failed", **DONE),),
            },
            19,
        ),
        ({"execution": active(), "pod": pod(**UP, meta=deleted(655))}, 6),
    ],
    ids=["deadline", "main has ended", "pull", "ttl", "done", "second back-off", "lost node"],
)
def test_when_to_look_again(seen: dict[str, Any], seconds: float | None) -> None:
    again = decided(**seen).again
    assert again == pytest.approx(seconds, abs=0.5) if seconds is not None else again is None


def test_an_execution_that_is_being_deleted_is_left_alone() -> None:
    import msgspec

    going = active()
    going = msgspec.structs.replace(going, metadata=msgspec.structs.replace(going.metadata, deletion_timestamp=at(0)))
    assert decided(execution=going, pod=pod(**UP)) == Plan()
