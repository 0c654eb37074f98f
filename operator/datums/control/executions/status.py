"""The status of an Execution for each thing that can happen to it. Pure; bounded, whatever the number of files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from datums.api.conditions import set_condition
from datums.api.execution import SUCCEEDED, Execution
from datums.api.execution_status import (
    Attempt,
    ExecutionStatus,
    InputsStatus,
    OutputsStatus,
    PinnedInput,
    Reproducible,
    Timings,
)
from datums.api.meta import Condition, ManifestReference
from datums.api.reasons import Failed, Waiting
from datums.control.executions import units
from datums.control.executions.pods import FETCH, MAIN
from datums.control.executions.progress import Shown
from datums.control.executions.verdict import Outcome
from datums.control.executions.verify import Findings, Verified
from datums.control.podview import ContainerView, PodView, epoch
from datums.model.commit import Commit, FetchResult, ManifestRef

BACK_OFF_SECONDS: Final = 10.0
"""Before the second attempt; twice as long before each further one, as for a Job."""
LONGEST_BACK_OFF_SECONDS: Final = 360.0
_ATTEMPTS: Final = 10
_MESSAGE: Final = 1024
_ATTEMPT_MESSAGE: Final = 120
_LIST_BYTES: Final = 1500
T = TypeVar("T")


def timestamp(seconds: float) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def back_off(failed: int) -> float:
    """Seconds between the end of an attempt and the begin of the next, after so many failures."""
    return float(min(LONGEST_BACK_OFF_SECONDS, BACK_OFF_SECONDS * 2 ** min(max(failed - 1, 0), 16)))


def waiting(execution: Execution, now: float, reason: str, message: str, progress: str = "") -> ExecutionStatus:
    """It goes on, and this is where it is."""
    return replace(_told(execution, execution.status, now, "Unknown", reason, message), progress=progress or None)


def running(execution: Execution, now: float, shown: Shown, pod: PodView, detail: str | None) -> ExecutionStatus:
    """Its pod goes on, and this is where it is."""
    before = execution.status
    return replace(
        waiting(execution, now, shown.reason, shown.message, shown.progress),
        exit_code=pod.container(MAIN).exit_code,
        timings=timings(pod, None),
        status_detail=detail if detail is not None else before.status_detail,
    )


def started(execution: Execution, now: float, attempt: int, pod: str) -> ExecutionStatus:
    """The pod of an attempt was made."""
    before = execution.status
    told = _told(execution, before, now, "Unknown", Waiting.QUEUED, f"pod {pod} waits for a node")
    return ExecutionStatus(
        observed_generation=told.observed_generation,
        conditions=told.conditions,
        attempt=attempt,
        failed=before.failed,
        pod=pod,
        start_time=before.start_time or timestamp(now),
        attempts=before.attempts,
    )


def ended(execution: Execution, now: float, outcome: Outcome, found: Findings | None, pod: PodView | None) -> ExecutionStatus:
    """An attempt is over: the execution with it, or it goes on with another."""
    before, limit = execution.status, execution.spec.backoff_limit
    current = before.pod is not None
    status = replace(before, exit_code=outcome.exit_code, progress=None, timings=timings(pod, found) if pod else before.timings)
    if isinstance(found, Verified):
        status = _saved(status, found.commit)
    if current and not outcome.succeeded:
        record = Attempt(
            attempt=before.attempt,
            reason=outcome.reason,
            message=cut(outcome.message, _ATTEMPT_MESSAGE),
            exit_code=outcome.exit_code,
            pod=before.pod or "",
        )
        others = tuple(a for a in before.attempts if a.attempt != before.attempt)
        status = replace(status, attempts=(*others, record)[-_ATTEMPTS:])
    if outcome.suspended:
        told = _told(execution, status, now, "Unknown", Waiting.SUSPENDED, outcome.message)
        return replace(told, pod=None, start_time=None)
    if current and outcome.retryable:
        status = replace(status, failed=before.failed + 1)
        if status.failed <= limit:
            next_ = f"attempt {before.attempt + 1} begins in {units.duration(back_off(status.failed))}"
            message = f"attempt {before.attempt} failed ({outcome.reason}), {next_}: {outcome.message}"
            return replace(_told(execution, status, now, "Unknown", Waiting.QUEUED, message), pod=None, progress="retrying")
        if limit:
            message = (
                f"{status.failed} attempts failed, and spec.backoffLimit is {limit}; the last ({outcome.reason}): {outcome.message}"
            )
            outcome = Outcome(reason=Failed.BACKOFF_LIMIT_EXCEEDED, message=message, exit_code=outcome.exit_code)
    final = _told(execution, status, now, "True" if outcome.succeeded else "False", outcome.reason, outcome.message)
    since = epoch(final.start_time)
    saved = final.outputs
    return replace(
        final,
        completion_time=timestamp(now),
        duration=units.duration(now - since) if since else None,
        progress=f"{units.files(saved.files)}, {units.size(saved.bytes)}" if saved and current else None,
    )


def timings(pod: PodView | None, found: Findings | None) -> Timings | None:
    """How long each phase took, as far as it is over. The kubelet's times are whole seconds."""
    measured = found.commit.timings if isinstance(found, Verified) else {}
    if pod is None:
        return None
    main, fetch = pod.container(MAIN), pod.container(FETCH)
    times = Timings(
        queued=_between(pod.created_at, pod.scheduled_at),
        pulled=_between(pod.scheduled_at, fetch.started_at),
        downloaded=measured.get("downloaded", _downloaded(fetch)),
        ran=_between(main.started_at, main.finished_at),
        uploaded=measured.get("uploaded"),
        committed=_committed(measured),
    )
    return times if times != Timings() else None


def cut(text: str, longest: int) -> str:
    """The text, at most so long; both ends are kept, for they name the object and the cure."""
    if len(text) <= longest:
        return text
    half = (longest - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _told(
    execution: Execution, status: ExecutionStatus, now: float, word: Literal["True", "False", "Unknown"], reason: str, message: str
) -> ExecutionStatus:
    generation = execution.metadata.generation
    condition = Condition(
        type=SUCCEEDED,
        status=word,
        reason=str(reason),
        message=cut(message, _MESSAGE),
        last_transition_time=timestamp(now),
        observed_generation=generation,
    )
    return replace(status, observed_generation=generation, conditions=set_condition(status.conditions, condition))


def _saved(status: ExecutionStatus, commit: Commit) -> ExecutionStatus:
    inputs, outputs = commit.inputs, commit.outputs
    pinned = [PinnedInput(name=p.name, link=p.link, pinned=p.pinned, files=p.files, bytes=p.bytes) for p in inputs.pinned]
    problems = [cut(f"{p.path}: {p.message}", 300) for p in outputs.problems]
    reasons = [cut(reason, 300) for reason in inputs.not_reproducible]
    return replace(
        status,
        inputs=InputsStatus(files=inputs.files, bytes=inputs.bytes, manifest=_reference(inputs.manifest), pinned=_bounded(pinned)),
        outputs=OutputsStatus(
            files=outputs.files,
            bytes=outputs.bytes,
            manifest=_reference(outputs.manifest),
            set=commit.set,
            problems=_bounded(problems),
            problem_count=outputs.refused,
        ),
        reproducible=Reproducible(value=not inputs.not_reproducible, reasons=_bounded(reasons)),
    )


def _reference(manifest: ManifestRef | None) -> ManifestReference | None:
    if manifest is None:
        return None
    return ManifestReference(store=manifest.store, key=manifest.key, sha256=manifest.sha256)


def _bounded(items: Iterable[T]) -> tuple[T, ...]:
    """The first of them, as far as they fit; the whole lists are in the manifests. The first is always there."""
    kept: list[T] = []
    room = _LIST_BYTES
    for item in items:
        room -= len(msgspec.json.encode(item))
        if (kept and room < 0) or len(kept) == 16:
            break
        kept.append(item)
    return tuple(kept)


def _downloaded(fetch: ContainerView) -> float | None:
    if fetch.exit_code == 0:
        with suppress(msgspec.MsgspecError):
            return round(msgspec.json.decode(fetch.message, type=FetchResult).seconds, 3)
    return _between(fetch.started_at, fetch.finished_at)


def _committed(measured: Mapping[str, float]) -> float | None:
    """`ship` counts from main's end; a phase from the one before."""
    end = measured.get("committed")
    return None if end is None else round(max(0.0, end - measured.get("uploaded", 0.0)), 3)


def _between(start: float, end: float) -> float | None:
    return max(0.0, end - start) if start and end else None
