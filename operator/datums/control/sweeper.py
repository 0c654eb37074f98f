"""The sweeper: full lists, which find what the watches missed. A watch that lists again never tells what was deleted meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from datums.api.names import LABEL_MANAGED_BY, MANAGED_BY
from datums.control.cache import ObjectName, resource_version
from datums.control.intake import Intake
from datums.control.kube import DATASTORES, EXECUTIONS, PODS, Kube, KubeError
from datums.control.metrics import Metrics
from datums.control.resources import Resource

log = logging.getLogger(__name__)

SETTLE: Final = 5.0
"""Seconds between a new list of a watch and the sweep that follows: one for all objects of the list."""
_SELECTORS: Final = {EXECUTIONS: "", DATASTORES: "", PODS: f"{LABEL_MANAGED_BY}={MANAGED_BY}"}


class Sweeper:
    """Lists executions, DataStores and pods every `period` seconds, and soon after `soon`."""

    def __init__(self, kube: Kube, intake: Intake, metrics: Metrics, namespaces: Sequence[str], period: float) -> None:
        self._kube, self._intake, self._metrics = kube, intake, metrics
        self._namespaces = tuple(namespaces)
        self._period = period
        self._asked = asyncio.Event()

    def soon(self) -> None:
        """Asks for a sweep in `SETTLE` seconds."""
        self._asked.set()

    async def run(self) -> None:
        """Sweeps until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._period):  # HAZARD: `wait_for` loses cancellations before Python 3.12
                    await self._asked.wait()
                await asyncio.sleep(SETTLE)
            except TimeoutError:
                pass
            self._asked.clear()
            try:
                await self.sweep()
            except KubeError as error:
                log.warning("a sweep failed, the next will do: %s", error)
                self._asked.set()

    async def sweep(self) -> None:
        """Lists everything once, takes it in, and forgets what is no longer there.

        Raises:
            KubeError: a list was refused.
        """
        for resource in _SELECTORS:
            for namespace in self._namespaces or (None,):
                await self._sweep(resource, namespace)
        self._metrics.sweeps.inc()

    async def _sweep(self, resource: Resource, namespace: str | None) -> None:
        listing = await self._kube.listing(resource, namespace, label_selector=_SELECTORS[resource])
        listed: dict[ObjectName, str] = {}
        for body in listing.items:
            meta = body["metadata"]
            listed[meta["namespace"], meta["name"]] = meta["uid"]
            self._intake.seen(resource, body)
        table = self._intake.table(resource)
        for name in table.ghosts(listed, resource_version(listing.resource_version), (namespace,) if namespace else ()):
            log.info("%s %s/%s is gone without an event", resource.kind, *name)
            self._metrics.count_ghost(resource.kind)
            self._intake.gone(resource, name, table.uid(name))
