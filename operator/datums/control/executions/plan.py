"""What is to be done for an execution, from what was observed. Pure: most of its tests are tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from datums.api.conditions import is_settled
from datums.api.execution import SUCCEEDED, Execution
from datums.api.names import ANNOTATION_MAIN_ENDED, ANNOTATION_STOP
from datums.api.reasons import Failed, Waiting
from datums.control.executions import progress, status, units
from datums.control.executions.pods import FETCH, GATE, MAIN
from datums.control.executions.progress import Shown
from datums.control.executions.verdict import Outcome, Stop, saved, verdict
from datums.control.executions.verify import Broken, Findings, NoCommit, Trouble, Verified
from datums.control.podview import PodView, epoch
from datums.model.commit import Report

SHIP_NOTICES_SECONDS: Final = 3.0
"""`ship` sees main's end by itself within milliseconds; only if it says nothing for so long, it is told."""
LOST_SECONDS: Final = 60.0
"""A pod that is still there so long after the grace of its deletion has a node that does not answer."""
NOT_STARTED_GRACE_SECONDS: Final = 5
"""For pods whose command has not started: there is nothing to save."""
LOOK_AGAIN_SECONDS: Final = 30.0
LOOK_AT_STORE_AGAIN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """All that a decision depends on."""

    execution: Execution
    now: float
    """Seconds since the epoch."""
    pod: PodView | None = None
    """Of the current attempt; None where there is no attempt or its pod is gone."""
    others: tuple[PodView, ...] = ()
    """Further pods of the execution."""
    report: Report | None = None
    """The pod's latest."""
    found: Findings | None = None
    """What the store holds of the current attempt; None where it was not looked."""
    stale_credentials: bool = False
    """A store of the current attempt has another Secret than its pod was given."""
    image_pull_grace: float = 120.0


@dataclass(frozen=True, slots=True)
class Start:
    """Resolve, and make the Secret and the pod of an attempt."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Adopt:
    """Write down the pod of a started attempt."""

    pod: PodView


@dataclass(frozen=True, slots=True)
class Verify:
    """Look at the store."""


@dataclass(frozen=True, slots=True)
class Annotate:
    """Say something to the pod."""

    pod: PodView
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod. `grace` in seconds; the pod's own when None."""

    pod: PodView
    grace: int | None


@dataclass(frozen=True, slots=True)
class RenewCredentials:
    """Write the attempt's Secret anew."""

    pod: PodView


@dataclass(frozen=True, slots=True)
class Show:
    """Write where it is, if that has changed."""

    shown: Shown


@dataclass(frozen=True, slots=True)
class End:
    """The attempt is over: make the datums, remove its Secret, say so."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class DeleteExecution:
    """Its time to live is over."""


Action: TypeAlias = Start | Adopt | Verify | Annotate | DeletePod | RenewCredentials | Show | End | DeleteExecution


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order, and after how many seconds to look again without being asked."""

    actions: tuple[Action, ...] = ()
    again: float | None = None


def plan(o: Observed) -> Plan:
    """The next steps."""
    execution = o.execution
    if execution.metadata.deletion_timestamp:
        return Plan()
    if is_settled(execution.status.conditions, SUCCEEDED):
        return _settled(o)
    strays = _strays(o)
    if execution.status.pod is None:
        return _with(strays, _without_pod(o))
    return _with(strays, _with_pod(o))


def why_stop(o: Observed) -> Stop | None:
    """Why the execution shall not go on, if so."""
    spec, start = o.execution.spec, epoch(o.execution.status.start_time)
    deadline = spec.active_deadline_seconds
    if spec.stop:
        return Stop(Failed.STOPPED, "stopped by spec.stop")
    if deadline is not None and start and o.now >= start + deadline:
        return Stop(Failed.DEADLINE_EXCEEDED, f"it was active for longer than spec.activeDeadlineSeconds, {deadline} s")
    # A pod that was told to stop for none of the above was suspended, and resumed before it had ended.
    if spec.suspend or (o.pod is not None and o.pod.stop is not None):
        return Stop(Waiting.SUSPENDED, "suspended by spec.suspend")
    return None


def _settled(o: Observed) -> Plan:
    ttl, done = o.execution.spec.ttl_seconds_after_finished, epoch(o.execution.status.completion_time)
    if ttl is None:
        return Plan(_strays(o))
    left = done + ttl - o.now
    return Plan((DeleteExecution(),)) if left <= 0 else Plan(_strays(o), left)


def _without_pod(o: Observed) -> Plan:
    before = o.execution.status
    made = next((p for p in o.others if p.attempt == before.attempt + 1), None)
    if made is not None:
        # Whoever made it did not live to write it down.
        return Plan((Adopt(made),))
    stop = why_stop(o)
    if stop is not None and stop.reason == Waiting.SUSPENDED:
        return Plan((Show(Shown(Waiting.SUSPENDED, "it starts when spec.suspend is false")),))
    if stop is not None:
        return Plan((End(Outcome(reason=stop.reason, message=f"{stop.message} before its pod was made")),))
    last = next((p for p in o.others if p.attempt == before.attempt), None)
    if before.failed and last is not None:
        left = _ended_at(last) + status.back_off(before.failed) - o.now
        if left > 0:
            return Plan((), left)
    return Plan((Start(before.attempt + 1),))


def _with_pod(o: Observed) -> Plan:
    pod, found = o.pod, o.found
    main = pod.container(MAIN) if pod else None
    if pod is None or _is_over(o, pod) or _says_committed(o, pod):
        if found is None:
            # Without inputs the command never started: the store need not be asked.
            return _ended(o, NoCommit()) if pod is not None and pod.container(FETCH).exit_code else Plan((Verify(),))
        if isinstance(found, Trouble):
            told = f"whether the outputs are committed cannot be seen: {found.message}"
            return Plan((Show(Shown(Waiting.COMMITTING, told, "committing")),), LOOK_AT_STORE_AGAIN_SECONDS)
        if pod is None or _is_over(o, pod):
            return _ended(o, found)
        if isinstance(found, Verified | Broken):
            if main is not None and main.state == "terminated":
                return _ended(o, found)
            # The kubelet's word on the exit code comes within a second; of a deleted pod only with its end.
            return Plan((Show(Shown(Waiting.COMMITTING, f"{saved(found)}; its exit code is awaited", "committing")),), _again(o))
    return _going_on(o, pod)


def _going_on(o: Observed, pod: PodView) -> Plan:
    main, stop = pod.container(MAIN), why_stop(o)
    actions: list[Action] = [RenewCredentials(pod)] if o.stale_credentials else []
    if stop is not None and not main.has_started and not pod.deleted_at:
        return Plan((End(_stopped_early(o, pod, stop)),))
    pull = progress.failing_pull(pod)
    if pull is not None and stop is None:
        container, since = pull
        left = 0.0 if container.reason in progress.PULL_AT_ONCE else since + o.image_pull_grace - o.now
        if left <= 0:
            said = f"container {container.name}: {container.reason}: {container.message}"
            image = o.execution.spec.image if container.name == MAIN else "the operator's image"
            return Plan((End(Outcome(reason=Failed.IMAGE_PULL_FAILED, message=f"{image} cannot be pulled: {said}")),))
    if stop is not None and main.state == "running" and pod.stop is None:
        actions.append(Annotate(pod, ANNOTATION_STOP, str(o.execution.spec.stop_grace_period_seconds)))
    again = _again(o)
    if main.state == "terminated" and pod.main_ended is None and not _knows_of_the_end(o):
        left = main.finished_at + SHIP_NOTICES_SECONDS - o.now
        if left <= 0:
            actions.append(Annotate(pod, ANNOTATION_MAIN_ENDED, str(main.exit_code)))
        else:
            again = min(again, left)
    actions.append(Show(progress.shown(pod, o.report, stop.message if stop else "")))
    return Plan(tuple(actions), again)


def _ended(o: Observed, found: Findings) -> Plan:
    meta, stop = o.execution.metadata, why_stop(o)
    name = f"{meta.namespace}/{o.execution.status.pod}"
    limit = o.execution.spec.resources.limits.get("memory")
    if o.pod is not None and not o.pod.is_over and o.pod.gone_by and o.now > o.pod.gone_by + LOST_SECONDS:
        told = f"node {o.pod.node} does not answer: pod {o.pod.name} should have ended {units.duration(o.now - o.pod.gone_by)} ago"
        return Plan((End(Outcome(reason=Failed.NODE_LOST, message=f"{told}; {saved(found)}")),))
    if o.pod is None and stop is not None:
        # It was deleted for that, or went in the same moment.
        return Plan((End(Outcome(reason=stop.reason, message=f"{stop.message}; {saved(found)}")),))
    return Plan((End(verdict(name, o.pod, found, stop, limit)),))


def _stopped_early(o: Observed, pod: PodView, stop: Stop) -> Outcome:
    if stop.reason == Failed.DEADLINE_EXCEEDED and not pod.scheduled_at:
        told = pod.unschedulable or "the scheduler has said nothing"
        deadline = o.execution.spec.active_deadline_seconds
        return Outcome(reason=Failed.UNSCHEDULABLE, message=f"no node within spec.activeDeadlineSeconds, {deadline} s: {told}")
    return Outcome(reason=stop.reason, message=f"{stop.message} before the command started")


def _is_over(o: Observed, pod: PodView) -> bool:
    return pod.is_over or (pod.gone_by > 0 and o.now > pod.gone_by + LOST_SECONDS)


def _says_committed(o: Observed, pod: PodView) -> bool:
    return (o.report is not None and o.report.phase == "Committed") or pod.container(GATE).state == "terminated"


def _knows_of_the_end(o: Observed) -> bool:
    return o.report is not None and o.report.phase in ("Uploading", "Committing", "Committed")


def _strays(o: Observed) -> tuple[Action, ...]:
    """Deletes pods whose attempt is over, but whose command may still run or come to run."""
    execution = o.execution
    over = is_settled(execution.status.conditions, SUCCEEDED)
    mine = [*o.others, *([o.pod] if o.pod and over else [])]
    return tuple(
        DeletePod(pod, None if pod.container(MAIN).has_started else NOT_STARTED_GRACE_SECONDS)
        for pod in mine
        if (over or pod.attempt <= execution.status.attempt) and not pod.is_over and not pod.deleted_at and not _main_is_done(pod)
    )


def _main_is_done(pod: PodView) -> bool:
    return pod.container(MAIN).state == "terminated"


def _ended_at(pod: PodView) -> float:
    return max(pod.created_at, *(c.finished_at for c in pod.containers.values())) if pod.containers else pod.created_at


def _again(o: Observed) -> float:
    """The next moment at which time alone changes something."""
    moments = [LOOK_AGAIN_SECONDS]
    start, deadline = epoch(o.execution.status.start_time), o.execution.spec.active_deadline_seconds
    if start and deadline is not None:
        moments.append(start + deadline - o.now)
    if o.pod is not None and o.pod.gone_by:
        moments.append(o.pod.gone_by + LOST_SECONDS - o.now + 1.0)
    if o.pod is not None and (pull := progress.failing_pull(o.pod)) is not None:
        moments.append(pull[1] + o.image_pull_grace - o.now)
    future = [moment for moment in moments if moment > 0]
    return min(future) + 0.01


def _with(first: tuple[Action, ...], then: Plan) -> Plan:
    return Plan((*first, *then.actions), then.again)
