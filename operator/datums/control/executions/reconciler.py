"""Reconciles Executions: observe, plan, act, again until nothing is left to do."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import msgspec

from datums.api.conditions import get_condition, is_settled
from datums.api.execution import SUCCEEDED, Execution
from datums.api.execution_status import ExecutionStatus
from datums.api.reasons import Waiting
from datums.control.cache import ObjectName
from datums.control.executions import attempt as attempts
from datums.control.executions import status
from datums.control.executions.children import Blocked, Children
from datums.control.executions.errors import NotStartable
from datums.control.executions.lookup import Lookup
from datums.control.executions.plan import (
    Action,
    Adopt,
    Annotate,
    DeleteExecution,
    DeletePod,
    End,
    Observed,
    RenewCredentials,
    Show,
    Start,
    Verify,
    plan,
)
from datums.control.executions.pods import ignored_variables
from datums.control.executions.progress import Shown
from datums.control.executions.verdict import Outcome
from datums.control.executions.verify import Findings, Trouble, Verified, verifier
from datums.control.kube import EXECUTIONS, PODS, Conflict, NotFound, Obj
from datums.control.podview import PodView
from datums.control.queue import Key
from datums.control.services import Services
from datums.model.plan import ExecutionRef

log = logging.getLogger(__name__)

_ROUNDS: Final = 8
_BLOCKED_SECONDS: Final = 10.0
_WAITING_SECONDS: Final = 30.0
_BETWEEN_WRITES: Final = 1.0
_BETWEEN_NUMBERS: Final = 2.0
"""Between two writes that tell nothing but how far a transfer is: hundreds of executions can transfer at once."""


class ExecutionReconciler:
    """See `services.Reconcile`. What it remembers saves work and can be lost at any time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lookup = Lookup(services)
        self._children = Children(services, self._lookup)
        self._verified: dict[ObjectName, tuple[ExecutionRef, Verified]] = {}
        self._written: dict[ObjectName, float] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Brings an execution a step on."""
        name = (key.namespace, key.name)
        body = self._services.cache.executions.get(name)
        found: Findings | None = None
        again: float | None = None
        for _ in range(_ROUNDS):
            if body is None:
                self._forget(name)
                return None
            turn = _Turn(body, await self._observe(body, found))
            planned = plan(turn.observed)
            again, progressed = planned.again, False
            for action in planned.actions:
                progressed |= await self._act(turn, action)
            again = _earliest(again, turn.again)
            if not progressed:
                break
            found = turn.found
            body = self._services.cache.executions.get(name)
        return again

    async def _observe(self, body: Obj, found: Findings | None) -> Observed:
        execution = msgspec.convert(body, Execution)
        uid, services = execution.metadata.uid, self._services
        pods = services.cache.pods_of(uid)
        pod = next((p for p in pods if p.name == execution.status.pod), None)
        if pod is None and execution.status.pod:
            pod = await self._look_for_pod(execution)
        remembered = self._verified.get(_name(execution))
        if found is None and remembered is not None and remembered[0] == attempts.ref(execution, execution.status.attempt):
            found = remembered[1]
        report = services.progress.get(pod.uid) if pod else None
        return Observed(
            execution=execution,
            now=services.clock(),
            pod=pod,
            others=tuple(p for p in pods if p.name != execution.status.pod),
            report=report[0] if report else None,
            found=found,
            stale_credentials=pod is not None and self._children.has_stale_credentials(pod),
            image_pull_grace=services.settings.image_pull_grace_seconds,
        )

    async def _look_for_pod(self, execution: Execution) -> PodView | None:
        """The cache can be late, and that a pod is gone has consequences: asks the API server."""
        if is_settled(execution.status.conditions, SUCCEEDED):
            return None
        try:
            body = await self._services.kube.get(PODS, execution.metadata.namespace, execution.status.pod or "")
        except NotFound:
            return None
        view = PodView.from_body(body)
        return view if view.owner_uid == execution.metadata.uid else None

    async def _act(self, turn: _Turn, action: Action) -> bool:
        """Does one thing; True where the execution should be planned anew at once."""
        execution = turn.observed.execution
        match action:
            case Start(attempt=attempt):
                return await self._start(turn, attempt)
            case Adopt(pod=pod):
                await self._write(turn, status.started(execution, turn.observed.now, pod.attempt, pod.name))
                return True
            case Verify():
                turn.found = await self._verify(execution, turn.observed.pod)
                return True
            case Annotate(pod=pod, name=name, value=value):
                await self._children.annotate(pod, name, value)
            case DeletePod(pod=pod, grace=grace):
                await self._children.delete_pod(pod, grace)
            case RenewCredentials(pod=pod):
                await self._children.renew_credentials(execution, pod)
            case Show(shown=shown):
                await self._show(turn, shown)
            case End(outcome=outcome):
                return await self._end(turn, outcome)
            case DeleteExecution():
                await self._delete(execution)
        return False

    async def _start(self, turn: _Turn, attempt: int) -> bool:
        execution = turn.observed.execution
        try:
            pod = await self._children.start(execution, attempt)
        except NotStartable as error:
            if not error.waits:
                return await self._end(turn, Outcome(reason=error.reason, message=str(error)))
            await self._show(turn, Shown(error.reason, str(error)))
            turn.again = _WAITING_SECONDS
            return False
        except Blocked as error:
            await self._show(turn, Shown(Waiting.RESOLVING, f"its pod cannot be made yet: {error}"))
            turn.again = _BLOCKED_SECONDS
            return False
        self._services.cache.pods.put(pod)
        name = pod["metadata"]["name"]
        await self._write(turn, status.started(execution, turn.observed.now, attempt, name))
        self._event(turn, "Normal", "Started", f"pod {name} runs attempt {attempt}")
        for warning in _warnings(execution):
            self._event(turn, "Warning", "Ignored", warning)
        return True

    async def _verify(self, execution: Execution, pod: PodView | None) -> Findings:
        attempt = attempts.ref(execution, execution.status.attempt)
        try:
            opened = await self._lookup.open(await self._children.output_store(execution, pod))
        except NotStartable as error:
            return Trouble(str(error))
        look = verifier(attempt, execution.spec.outputs.datum_limit)
        found = await self._services.stores.run(opened.access, opened.credentials, look)
        if isinstance(found, Verified):
            self._verified[_name(execution)] = (attempt, found)
        return found

    async def _end(self, turn: _Turn, outcome: Outcome) -> bool:
        observed = turn.observed
        execution, found = observed.execution, observed.found
        try:
            if isinstance(found, Verified):
                await self._children.datums(execution, found, status.timestamp(observed.now))
        except Blocked as error:
            await self._show(turn, Shown(Waiting.COMMITTING, str(error)))
            turn.again = _BLOCKED_SECONDS
            return False
        # `ship` has committed, or there is nothing left that it could: it needs no credentials any more.
        await self._children.remove_secret(execution, execution.status.attempt or 1)
        after = status.ended(execution, observed.now, outcome, found, observed.pod)
        await self._write(turn, after)
        self._forget(_name(execution))
        if observed.pod is not None:
            self._services.progress.pop(observed.pod.uid, None)
        condition = get_condition(after.conditions, SUCCEEDED)
        if condition is not None:
            self._event(
                turn, "Normal" if outcome.succeeded or outcome.suspended else "Warning", condition.reason, condition.message
            )
        return True

    async def _show(self, turn: _Turn, shown: Shown) -> None:
        """Writes where it is: only what is new, and at most once a second; mere numbers less often."""
        observed = turn.observed
        execution = observed.execution
        if observed.pod is None:
            after = status.waiting(execution, observed.now, shown.reason, shown.message, shown.progress)
        else:
            detail = observed.report.status_detail if observed.report else None
            after = status.running(execution, observed.now, shown, observed.pod, detail)
        if after == execution.status:
            return
        before = get_condition(execution.status.conditions, SUCCEEDED)
        troubled = observed.report is not None and observed.report.trouble
        numbers = before is not None and before.reason == shown.reason and not troubled
        pause = _BETWEEN_NUMBERS if numbers else _BETWEEN_WRITES
        left = self._written.get(_name(execution), 0.0) + pause - time.monotonic()
        if left > 0:
            turn.again = left
            return
        await self._write(turn, after)
        if observed.pod is None and (before is None or before.reason != shown.reason):
            waits = shown.reason in (Waiting.SUSPENDED, Waiting.QUEUED)
            self._event(turn, "Normal" if waits else "Warning", str(shown.reason), shown.message)

    async def _write(self, turn: _Turn, after: ExecutionStatus) -> None:
        """Writes the whole status, if the object is still the one that was looked at: so that two operators never both decide."""
        meta = turn.observed.execution.metadata
        body: dict[str, Any] = {"metadata": {"resourceVersion": meta.resource_version}, "status": msgspec.to_builtins(after)}
        try:
            written = await self._services.kube.apply(EXECUTIONS, meta.namespace, meta.name, body, subresource="status")
        except NotFound:
            self._services.cache.executions.remove((meta.namespace, meta.name), meta.uid)
            return
        self._written[(meta.namespace, meta.name)] = time.monotonic()
        self._services.cache.executions.put(written)

    async def _delete(self, execution: Execution) -> None:
        meta = execution.metadata
        try:
            await self._services.kube.delete(
                EXECUTIONS, meta.namespace, meta.name, uid=meta.uid, resource_version=meta.resource_version
            )
        except (NotFound, Conflict):
            return
        log.info("execution %s/%s: removed, spec.ttlSecondsAfterFinished is over", meta.namespace, meta.name)

    def _event(self, turn: _Turn, kind: Any, reason: str, message: str) -> None:
        self._services.recorder.event(turn.body, kind, reason, message)

    def _forget(self, name: ObjectName) -> None:
        self._verified.pop(name, None)
        self._written.pop(name, None)


class _Turn:
    """One round of observing and acting."""

    def __init__(self, body: Obj, observed: Observed) -> None:
        self.body, self.observed = body, observed
        self.found: Findings | None = None
        self.again: float | None = None


def _name(execution: Execution) -> ObjectName:
    return execution.metadata.namespace, execution.metadata.name


def _earliest(*moments: float | None) -> float | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _warnings(execution: Execution) -> list[str]:
    """What is not wrong, but surely not meant."""
    spec = execution.spec
    both = sorted({i.name for i in spec.inputs} & {p.name for p in spec.parameters})
    found = [f"spec.env: {name} is set by Datums itself; the given value is not used" for name in ignored_variables(spec)]
    return found + [f"input and parameter {name} have one name: valohai-utils confuses them; rename one" for name in both]
