"""The operator's process: puts the parts together, starts them in order, ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from datums.control.agent import Agent
from datums.control.cache import Cache
from datums.control.datastores import DataStoreReconciler
from datums.control.executions import ExecutionReconciler
from datums.control.http import Listener, health
from datums.control.intake import Intake
from datums.control.kube import DATASTORES, EXECUTIONS, Kube, KubeError, NotFound, Obj
from datums.control.leader import Elector, LeaseTimes
from datums.control.metrics import Metrics
from datums.control.ownpod import agent_url, label_leader
from datums.control.queue import Queue
from datums.control.recorder import Recorder
from datums.control.resources import Resource
from datums.control.services import Reconcile, Services
from datums.control.settings import Settings
from datums.control.store_pool import StorePool
from datums.control.sweeper import Sweeper
from datums.control.upload_sweeper import UploadSweeper
from datums.control.watch import watch_lease, watch_work
from datums.control.workers import work

log = logging.getLogger(__name__)

_FINISH: Final = 5.0
"""Seconds that reconciliations have to end by themselves when the process ends."""


class StartError(Exception):
    """The operator cannot work in this cluster; the message says what to do."""


def reconcilers(services: Services) -> dict[str, Reconcile]:
    """The reconciler of each kind."""
    return {
        EXECUTIONS.kind: ExecutionReconciler(services).reconcile,
        DATASTORES.kind: DataStoreReconciler(services).reconcile,
    }


class Operator:
    """One operator process. Make it in a running event loop; `run` once."""

    def __init__(
        self, kube: Kube, settings: Settings, metrics: Metrics, make: Callable[[Services], Mapping[str, Reconcile]] = reconcilers
    ) -> None:
        """
        Args:
            make: the reconcilers, by kind.
        """
        self._kube, self.settings, self.metrics = kube, settings, metrics
        recorder = Recorder(kube, settings.pod_name, metrics.events_dropped.inc)
        self.services = Services(
            kube=kube,
            cache=Cache(),
            queue=Queue(),
            recorder=recorder,
            metrics=metrics,
            settings=settings,
            stores=StorePool(settings.store_threads),
        )
        self._reconcilers = make(self.services)
        times = LeaseTimes(lease=settings.lease_seconds, renew=settings.lease_renew_seconds, retry=settings.lease_retry_seconds)
        self.elector = Elector(kube, settings.namespace, settings.lease_name, times=times)
        self.agent = Listener(Agent(self.services, self.elector.leads).application(), settings.bind_address, settings.agent_port)
        self.health = Listener(health(self.dead, self.unready, metrics), settings.bind_address, settings.metrics_port)
        self.working = asyncio.Event()
        """Set once this process leads and reconciles."""
        self._signs_of_life: float | None = None
        self._gauges()

    async def run(self, stop: asyncio.Event) -> None:
        """Waits to lead, then works until `stop`.

        Raises:
            LeaseLost: another replica leads.
            StartError: the cluster lacks something.
            RuntimeError: a watch ended.
        """
        tasks: list[asyncio.Task[None]] = []
        try:
            await self.health.start()
            await self.agent.start()
            pod_uid = await label_leader(self._kube, self.settings, leads=False)
            if await _first(self.elector.acquire(identity(self.settings.pod_name, pod_uid)), stop.wait()):
                await self._lead(stop, tasks)
        finally:
            await self._end(tasks)

    async def _lead(self, stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
        services, settings = self.services, self.settings

        def begin(work_: Coroutine[Any, Any, None], name: str) -> None:
            tasks.append(asyncio.create_task(work_, name=name))

        begin(self.elector.hold(), "lease")
        begin(services.recorder.run(), "recorder")
        services.agent_url = await agent_url(self._kube, settings)
        intake = Intake(services)
        sweeper = Sweeper(self._kube, intake, self.metrics, settings.namespaces, settings.sweep_seconds)
        try:
            # Before any work, so that no reconciler mistakes what was not listed yet for what is not there.
            await sweeper.sweep()
        except NotFound as error:
            raise StartError(
                f"the kinds of Datums are not installed ({error}): apply crds/, or install the chart with crds.install"
            ) from None
        # The first list of the watch comes after ours; what was deleted in between shows in the sweep after it.
        sweeper.soon()
        begin(sweeper.run(), "sweeper")
        begin(UploadSweeper(services).run(), "upload-sweeper")
        self._signs_of_life = time.monotonic()

        def take(resource: Resource, type_: str | None, body: Obj) -> None:
            intake.event(resource, type_, body)
            if type_ is None:
                # The watch has listed anew: it never tells what was deleted before.
                sweeper.soon()

        watches = [
            watch_work(self._kube, take, settings.namespaces),
            watch_lease(self._kube, self._sign_of_life, settings.namespace, settings.lease_name),
        ]
        try:
            for watch in watches:
                watch.start()
                begin(watch.ended(), "watch")
            workers = [
                asyncio.create_task(work(services.queue, self._reconcilers, self.metrics, self.elector.leads), name=f"worker-{n}")
                for n in range(settings.workers)
            ]
            tasks.extend(workers)
            await label_leader(self._kube, settings, leads=True)
            self.metrics.leader.set(1)
            self.working.set()
            stopped = asyncio.create_task(_until(stop), name="stop")
            tasks.append(stopped)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
                if task is not stopped:
                    raise RuntimeError(f"{task.get_name()} ended without being asked to")
            services.queue.close()
            # What is cut off here is done again by the next leader: every reconciliation can be.
            await services.queue.idle(_FINISH)
        finally:
            self.metrics.leader.set(0)
            # Where the Lease is lost, nothing may be written from here on.
            for task in tasks:
                if not stop.is_set() or task.get_name() == "watch":
                    task.cancel()
            await asyncio.gather(*(watch.stop() for watch in watches))

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        self.services.queue.close()
        if self.working.is_set():
            await self.services.recorder.flush(1.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.working.is_set() and self.elector.leads():
            await label_leader(self._kube, self.settings, leads=False)
        await self.elector.release()
        await self.agent.stop()
        await self.health.stop()
        self.services.stores.close()

    def dead(self) -> str:
        """Why this process should be ended; empty if it should not. A leader lives by its own Lease's events, which come through
        the watches, a standby by its looks at the Lease."""
        seen = self.elector.last_look if self._signs_of_life is None else self._signs_of_life
        age = time.monotonic() - seen
        if age <= self.settings.liveness_seconds:
            return ""
        return f"no {'look at' if self._signs_of_life is None else 'event of'} the Lease for {age:.0f} s"

    def unready(self) -> str:
        """What is awaited before this process is of use; empty if nothing. A standby is of use: it waits to lead."""
        if self.working.is_set():
            return self.dead()
        return "starting" if self._signs_of_life is not None or not self.elector.looked else self.dead()

    def _sign_of_life(self, _resource: Resource, _type: str | None, _body: Obj) -> None:
        self._signs_of_life = time.monotonic()

    def _gauges(self) -> None:
        cache, queue = self.services.cache, self.services.queue
        self.metrics.gauge("datums_queue_depth", None, lambda: {"": float(len(queue))})
        self.metrics.gauge("datums_pods", None, lambda: {"": float(len(cache.pods))})
        self.metrics.gauge("datums_executions", "reason", lambda: by_reason(cache.executions.values(), "Succeeded"))
        self.metrics.gauge("datums_datastores", "reason", lambda: by_reason(cache.datastores.values(), "Ready"))


async def operate(settings: Settings, stop: asyncio.Event) -> None:
    """Runs an operator as its settings say, until `stop`. Raises as `Operator.run`."""
    metrics = Metrics()
    async with await Kube.connect(settings.kubeconfig, metrics.count_request) as kube:
        await Operator(kube, settings, metrics).run(stop)


def identity(pod_name: str, pod_uid: str) -> str:
    """Who holds the Lease. In a pod it is the same for a process that is restarted there, which so goes on with the Lease at once:
    the kubelet starts it only when the one before has ended.

    Args:
        pod_uid: empty outside a pod.
    """
    return f"{pod_name}_{pod_uid or secrets.token_hex(8)}"


def by_reason(bodies: Any, type_: str) -> dict[str, float]:
    """How many objects there are of each reason of a condition; those without the condition count as `New`."""
    counts: dict[str, float] = {}
    for body in bodies:
        conditions = (body.get("status") or {}).get("conditions") or ()
        reason = next((c["reason"] for c in conditions if c["type"] == type_), "New")
        counts[reason] = counts.get(reason, 0.0) + 1
    return counts


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()


async def _first(wanted: Coroutine[Any, Any, Any], otherwise: Coroutine[Any, Any, Any]) -> bool:
    """Whether `wanted` ended before `otherwise`; the other one is cancelled."""
    tasks = [asyncio.ensure_future(wanted), asyncio.ensure_future(otherwise)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
        return tasks[0].done()
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, KubeError):
                await task
