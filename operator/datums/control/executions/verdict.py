"""How an attempt ended: from the pod as it was last seen and what the store holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from datums.api.reasons import Done, Failed, Waiting
from datums.control.executions import units
from datums.control.executions.pods import FETCH, MAIN
from datums.control.executions.verify import Broken, Findings, Verified
from datums.control.podview import ContainerView, PodView
from datums.model.commit import FetchResult

RETRYABLE: Final = frozenset(
    {Failed.NON_ZERO_EXIT, Failed.OUT_OF_MEMORY, Failed.EVICTED, Failed.NODE_LOST, Failed.OUTPUTS_LOST, Failed.STORE_UNAVAILABLE}
)
"""What another attempt may mend. The others would only happen again, or are what the user asked for."""

_NAMED: Final = 5
"""So many of the files that could not be saved stand in the message."""
_NODE_GONE: Final = ("DeletionByTaintManager", "DeletionByPodGC")
_TAKEN: Final[Mapping[str, str]] = {
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "EvictionByEvictionAPI": "evicted, as by a drain of its node",
    "TerminationByKubelet": "ended by its node",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of an attempt."""

    reason: str
    """Of `api.reasons.Done` or `Failed`; `Suspended` where the execution goes on later."""
    message: str
    exit_code: int | None = None

    @property
    def succeeded(self) -> bool:
        return self.reason == Done.COMMITTED

    @property
    def suspended(self) -> bool:
        return self.reason == Waiting.SUSPENDED

    @property
    def retryable(self) -> bool:
        return self.reason in RETRYABLE


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the operator ends an attempt."""

    reason: str
    message: str


def verdict(name: str, pod: PodView | None, found: Findings, stop: Stop | None, memory_limit: Any = None) -> Outcome:
    """The outcome of an attempt that is over.

    Args:
        name: `<namespace>/<pod>`, for messages.
        pod: None where it is gone.
        found: what the store holds.
        stop: why the operator told it to stop, where it did.
        memory_limit: of the main container.
    """
    namespace, _, short = name.partition("/")
    log = f"; see: kubectl logs {short} -c {MAIN} -n {namespace}"
    kept = saved(found)
    if pod is None:
        return Outcome(reason=Failed.EVICTED, message=f"pod {short} was deleted before it was seen how the command ended; {kept}")
    main, fetch = pod.container(MAIN), pod.container(FETCH)
    code = main.exit_code

    def ended(reason: str, message: str) -> Outcome:
        return Outcome(reason=reason, message=message, exit_code=code)

    if stop is not None and pod.stop is not None:
        return ended(stop.reason, f"{stop.message}; {kept}")
    if taken := _taken(pod, main):
        reason = Failed.NODE_LOST if pod.reason == "NodeLost" or pod.disruption in _NODE_GONE else Failed.EVICTED
        return ended(reason, f"pod {short} was {taken}{_while(main)}; {kept}")
    if not main.has_started:
        return _never_started(short, namespace, fetch, pod)
    if main.state != "terminated" or code is None:
        return ended(Failed.OUTPUTS_LOST, f"pod {short} ended, and not how the command did; {kept}{log}")
    if main.reason == "OOMKilled":
        limit = f"its limit of {memory_limit}" if memory_limit is not None else "the node has"
        return ended(
            Failed.OUT_OF_MEMORY, f"the command used more memory than {limit}: raise spec.resources.limits.memory; {kept}{log}"
        )
    if code != 0:
        said = f" ({main.reason}: {main.message})" if main.reason not in ("Error", "") and main.message else ""
        return ended(Failed.NON_ZERO_EXIT, f"command exited with code {code}{said}; {kept}{log}")
    return _exited_with_zero(short, found, kept, log)


def saved(found: Findings) -> str:
    """What is kept, in words."""
    if isinstance(found, Verified):
        count, size = found.commit.outputs.files, found.commit.outputs.bytes
        if not count:
            return "it saved no outputs"
        return f"{units.outputs(count)} ({units.size(size)}) {'is' if count == 1 else 'are'} kept"
    if isinstance(found, Broken):
        return f"its commit cannot be believed: {found.message}"
    return "no outputs were committed"


def _exited_with_zero(short: str, found: Findings, kept: str, log: str) -> Outcome:
    if not isinstance(found, Verified):
        return Outcome(
            reason=Failed.OUTPUTS_LOST,
            message=f"the command exited with code 0, but {kept}: see kubectl describe pod {short}{log}",
            exit_code=0,
        )
    outputs = found.commit.outputs
    if outputs.refused:
        first, rest = outputs.problems[:1], outputs.problems[1:_NAMED]
        named = "".join([f": {p.path}: {p.message}" for p in first] + [f"; {p.path}" for p in rest])
        unnamed = outputs.refused - len(first) - len(rest)
        more = f"; and {unnamed:,} more" if unnamed > 0 else ""
        more += "; see status.outputs.problems" if outputs.refused > 1 else ""
        return Outcome(
            reason=Failed.OUTPUTS_PARTIAL,
            message=f"{units.outputs(outputs.refused)} could not be saved{named}{more}; {kept}",
            exit_code=0,
        )
    if not outputs.files:
        return Outcome(reason=Done.COMMITTED, message="the command wrote no outputs", exit_code=0)
    message = f"{units.outputs(outputs.files)} ({units.size(outputs.bytes)}) saved and verified"
    if outputs.notes:
        message += f"; note: {outputs.notes[0].path}: {outputs.notes[0].message}"
    return Outcome(reason=Done.COMMITTED, message=message, exit_code=0)


def _taken(pod: PodView, main: ContainerView) -> str:
    """What took the pod away before the command had ended by itself; empty if nothing did."""
    if pod.deleted_at:
        # Whole seconds: an end in the second of the deletion counts as made by it.
        if main.state == "terminated" and main.finished_at < pod.deleted_at:
            return ""
        why = _TAKEN.get(pod.disruption, "")
        return f"deleted: {why or pod.disruption_message}" if pod.disruption else "deleted"
    if main.state == "terminated" and main.exit_code == 0:
        return ""
    if pod.disruption:
        return f"{_TAKEN.get(pod.disruption, 'ended')}: {pod.message or pod.disruption_message}"
    if pod.reason in ("Evicted", "NodeLost", "Terminated", "NodeShutdown", "Shutdown", "Preempting"):
        return f"ended by its node ({pod.reason}): {pod.message}"
    return ""


def _while(main: ContainerView) -> str:
    if main.state == "waiting":
        return " before the command started"
    return " while the command ran"


def _never_started(short: str, namespace: str, fetch: ContainerView, pod: PodView) -> Outcome:
    if fetch.state != "terminated" or fetch.exit_code == 0:
        return Outcome(
            reason=Failed.OUTPUTS_LOST,
            message=f"pod {short} ended before the command started: {pod.message or pod.reason or 'its status does not say why'}",
        )
    try:
        result = msgspec.json.decode(fetch.message, type=FetchResult)
    except msgspec.MsgspecError:
        result = FetchResult()
    if result.reason:
        return Outcome(reason=result.reason, message=result.message)
    if fetch.reason == "OOMKilled":
        return Outcome(
            reason=Failed.OUT_OF_MEMORY,
            message="container fetch, which loads the inputs, used more memory than its limit: raise the operator's setting "
            "DATUMS_TRANSFER_MEMORY_LIMIT",
        )
    last = fetch.message.strip().rsplit("\n", 1)[-1][:300]
    return Outcome(
        reason=Failed.OUTPUTS_LOST,
        message=f"container fetch, which loads the inputs, ended with code {fetch.exit_code}: {last or fetch.reason}; see: kubectl "
        f"logs {short} -c {FETCH} -n {namespace}",
    )
