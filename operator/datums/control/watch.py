"""kopf, as far as Datums uses it: watches that hand every event to a plain function.

Each runs in a thread with an event loop of its own: kopf takes over the signals of a main thread and, when it ends, cancels every
task of its loop that is younger than itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import kopf

from datums.api.names import LABEL_MANAGED_BY, MANAGED_BY
from datums.control.kube import DATASTORES, EXECUTIONS, LEASES, PODS, Kube, Obj
from datums.control.resources import Resource

Sink: TypeAlias = Callable[[Resource, str | None, Obj], None]
"""Takes an event: resource, type (`ADDED`, `MODIFIED`, `DELETED`, or None for an object of a list) and the object. It runs in the
event loop that made the watch and must not wait for anything."""

_CLOSING = 0.1
_TOKEN_AGE = timedelta(minutes=10)


class _NoDiffBase(kopf.DiffBaseStorage):
    """Without it kopf copies every object twice for a diff that nobody asks for."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


class Watch:
    """Watches of some resources. Made, started and stopped in the event loop that the events are for."""

    def __init__(
        self, kube: Kube, resources: Sequence[Resource], sink: Sink, namespaces: Sequence[str], settings: kopf.OperatorSettings
    ) -> None:
        self._kube, self._resources, self._sink, self._namespaces, self._settings = kube, resources, sink, namespaces, settings
        self._home = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._home.create_future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"watch-{resources[0].plural}", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    async def ended(self) -> None:
        """Waits for the end, which comes by `stop`, or earlier where a watch is beyond repair: then it raises."""
        await asyncio.shield(self._ended)

    async def stop(self, seconds: float = 2.0) -> None:
        """Ends the watches; waits at most so long for it. No event comes afterwards."""
        self._stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        await asyncio.wait([self._ended], timeout=seconds)
        if self._ended.done() and not self._ended.cancelled():
            # Why a watch ended by itself was for `ended` to say.
            self._ended.exception()

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
            outcome: BaseException | None = None if self._stopping else RuntimeError("kopf ended without being asked to")
        except BaseException as error:  # noqa: BLE001 - carried over to the loop that waits
            outcome = error
        self._tell(self._end, outcome)

    async def _operate(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._stopping:
            return
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        for resource in self._resources:
            _register(registry, resource, self._deliver)
        await kopf.operator(
            registry=registry,
            settings=self._settings,
            standalone=True,
            # Else kopf asks for the name of the user, which an arbitrary uid does not have.
            identity="datums",  # type: ignore[arg-type]
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            stop_flag=self._stop,
        )
        # aiohttp closes TLS connections a moment after their session.
        await asyncio.sleep(_CLOSING)

    async def _login(self, **_: Any) -> kopf.ConnectionInfo:
        c = await self._kube.connection()
        return kopf.ConnectionInfo(
            server=c.server,
            ca_path=c.ca_file,
            ca_data=c.ca_data,
            certificate_path=c.certificate_file,
            private_key_path=c.key_file,
            scheme="Bearer" if c.token else None,
            token=c.token,
            insecure=c.insecure,
            # In a pod the token is replaced while we run.
            expiration=datetime.now(UTC) + _TOKEN_AGE if c.token else None,
        )

    def _deliver(self, resource: Resource, type_: str | None, body: Obj) -> None:
        if not self._stopping:
            self._tell(self._sink, resource, type_, body)

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(function, *args)

    def _end(self, outcome: BaseException | None) -> None:
        if self._ended.done():
            return
        if outcome is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(RuntimeError(f"the watch of {self._resources[0].plural} ended: {outcome}"))


def watch_work(kube: Kube, sink: Sink, namespaces: Sequence[str]) -> Watch:
    """Watches executions, DataStores and our pods.

    Args:
        namespaces: empty for the whole cluster.
    """
    settings = _settings()
    settings.watching.label_selectors["pods"] = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
    return Watch(kube, (EXECUTIONS, DATASTORES, PODS), sink, namespaces, settings)


def watch_lease(kube: Kube, sink: Sink, namespace: str, name: str) -> Watch:
    """Watches one Lease, for a sign of life every few seconds. On its own, so that rights on Leases end at the namespace."""
    settings = _settings()
    settings.watching.field_selectors["leases"] = f"metadata.name={name}"
    return Watch(kube, (LEASES,), sink, [namespace], settings)


def _register(registry: kopf.OperatorRegistry, resource: Resource, sink: Sink) -> None:
    # The core group is addressed without a group.
    place = (resource.group, resource.version, resource.plural) if resource.group else (resource.version, resource.plural)

    @kopf.on.event(*place, registry=registry, id=resource.plural)
    async def handle(event: Any, **_: Any) -> None:  # async, because kopf runs plain functions in threads
        sink(resource, event["type"], event["object"])


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.consistency_timeout = 0
    settings.queueing.idle_timeout = 1.0
    settings.queueing.worker_limit = None
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 300
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").addFilter(_not_about_signals)
    return settings


def _not_about_signals(record: logging.LogRecord) -> bool:
    return "OS signals are ignored" not in record.getMessage()
