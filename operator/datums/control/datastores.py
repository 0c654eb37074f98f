"""The DataStore reconciler: tries each store, says in `Ready` what came of it, and wakes the executions that wait for it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from msgspec import structs

from datums.api.conditions import get_condition, is_settled, is_true, set_condition
from datums.api.datastore import READY, Capabilities, DataStore, DataStoreStatus
from datums.api.meta import Condition
from datums.api.reasons import StoreNotReady, StoreReady
from datums.control.kube import DATASTORES, EXECUTIONS, NotFound, Obj
from datums.control.queue import Key
from datums.control.services import Services
from datums.control.store_credentials import StoreSetupError
from datums.control.store_places import name_of, place_of
from datums.control.store_reader import OpenAccess, read_access, secret_version
from datums.stores.errors import StoreError
from datums.stores.probe import Probed, probe

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tried:
    """What was last tried of a store; forgotten with the process, which tries anew."""

    uid: str
    generation: int
    secret: str
    at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt to use a store."""

    reason: StoreReady | StoreNotReady
    message: str
    capabilities: Capabilities | None = None


class DataStoreReconciler:
    """Reconciles DataStores."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tried: dict[Key, _Tried] = {}
        self._probing: dict[Key, asyncio.Future[Probed]] = {}

    async def reconcile(self, key: Key) -> float | None:
        """See `services.Reconcile`."""
        services, settings = self._services, self._services.settings
        store = services.cache.datastores.get((key.namespace, key.name))
        if store is None or store["metadata"].get("deletionTimestamp"):
            self._tried.pop(key, None)
            services.secret_versions.pop((key.namespace, key.name), None)
            self._wake()
            return None
        try:
            secret = await secret_version(services.kube, store)
        except StoreSetupError as error:
            self._tried.pop(key, None)
            await self._tell(store, Outcome(error.reason, str(error)))
            return settings.secret_retry_seconds
        self._remember_secret(key, secret)
        before = msgspec.convert(store, DataStore)
        was_ready = is_true(before.status.conditions, READY)
        tried = self._tried.get(key)
        meta = before.metadata
        fresh = tried is not None and (tried.uid, tried.generation, tried.secret) == (meta.uid, meta.generation, secret)
        period = settings.probe_seconds if was_ready else settings.probe_retry_seconds
        if tried is None or not fresh or time.monotonic() - tried.at >= period:
            outcome = await self._try(key, store)
            self._tried[key] = _Tried(meta.uid, meta.generation, secret, time.monotonic())
            await self._tell(store, outcome)
            was_ready = isinstance(outcome.reason, StoreReady)
        return settings.secret_check_seconds if was_ready else settings.secret_retry_seconds

    async def _try(self, key: Key, store: Obj) -> Outcome:
        started = time.monotonic()
        try:
            opened = await read_access(self._services.kube, store)
            # The service itself is asked, whatever it could do the last time.
            opened = opened._replace(access=structs.replace(opened.access, conditional_put=True))
            probed = await self._probe(key, opened)
            outcome = Outcome(StoreReady.PROBED, probed.message, probed.capabilities)
        except StoreSetupError as error:
            return Outcome(error.reason, str(error))
        except TimeoutError:
            seconds = self._services.settings.probe_timeout_seconds
            where = place_of(msgspec.convert(store, DataStore).spec).service
            outcome = Outcome(StoreNotReady.ENDPOINT_UNREACHABLE, f"{where} did not answer a probe within {seconds:g} s")
        except StoreError as error:
            outcome = Outcome(reason_of(error), str(error))
        result = "ok" if isinstance(outcome.reason, StoreReady) else str(outcome.reason)
        self._services.metrics.count_probe(result, time.monotonic() - started)
        return outcome

    async def _probe(self, key: Key, opened: OpenAccess) -> Probed:
        # A thread cannot be ended: while a probe hangs, no second one of the same store is begun.
        running = self._probing.get(key)
        if running is None:
            tried = partial(probe, anonymous=opened.access.anonymous)
            running = asyncio.ensure_future(self._services.stores.run(opened.access, opened.credentials, tried))
            self._probing[key] = running
        done, _ = await asyncio.wait([running], timeout=self._services.settings.probe_timeout_seconds)
        if not done:
            raise TimeoutError
        del self._probing[key]
        return running.result()

    async def _tell(self, store: Obj, outcome: Outcome) -> None:
        before = msgspec.convert(store, DataStore)
        now = datetime.fromtimestamp(self._services.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = status_of(before, outcome, now)
        if status == before.status:
            return
        was = get_condition(before.status.conditions, READY)
        body: dict[str, Any] = {"status": msgspec.to_builtins(status)}
        try:
            written = await self._services.kube.apply(
                DATASTORES, before.metadata.namespace, before.metadata.name, body, subresource="status"
            )
        except NotFound:
            return
        self._services.cache.datastores.put(written)
        if was is None or was.reason != outcome.reason:
            ready = isinstance(outcome.reason, StoreReady)
            log.info("DataStore %s: %s: %s", name_of(store), outcome.reason, outcome.message)
            self._services.recorder.event(store, "Normal" if ready else "Warning", outcome.reason, outcome.message)
        self._wake()

    def _remember_secret(self, key: Key, version: str) -> None:
        known, name = self._services.secret_versions, (key.namespace, key.name)
        if known.get(name) != version:
            known[name] = version
            self._wake()

    def _wake(self) -> None:
        """Asks for every execution that has not ended: it may wait for a store, or run with the store's old Secret."""
        for (namespace, name), body in self._services.cache.executions.items():
            if not settled(body):
                self._services.queue.add(Key(EXECUTIONS.kind, namespace, name))


def status_of(before: DataStore, outcome: Outcome, now: str) -> DataStoreStatus:
    """The status that an outcome gives; the one before where nothing but the words of a success have changed.

    Args:
        now: RFC 3339.
    """
    generation = before.metadata.generation
    was = get_condition(before.status.conditions, READY)
    ready = isinstance(outcome.reason, StoreReady)
    message = outcome.message
    if ready and was is not None and was.reason == outcome.reason and before.status.capabilities == outcome.capabilities:
        # How long the probe took is different each time: not worth a write.
        message = was.message if was.observed_generation == generation else message
    condition = Condition(
        type=READY,
        status="True" if ready else "False",
        reason=str(outcome.reason),
        message=message,
        last_transition_time=now,
        observed_generation=generation,
    )
    return DataStoreStatus(
        observed_generation=generation,
        conditions=set_condition(before.status.conditions, condition),
        location=place_of(before.spec).location,
        # What was found when it last worked stays true until the opposite is seen.
        capabilities=outcome.capabilities or before.status.capabilities,
    )


def settled(execution: Obj) -> bool:
    """Whether an Execution has ended for good."""
    conditions = msgspec.convert((execution.get("status") or {}).get("conditions") or [], list[Condition])
    return is_settled(conditions, "Succeeded")


def reason_of(error: StoreError) -> StoreNotReady:
    """The reason of a failed probe; what has no reason of its own is a service that does not answer as such a service does."""
    try:
        return StoreNotReady(error.reason)
    except ValueError:
        return StoreNotReady.ENDPOINT_UNREACHABLE
