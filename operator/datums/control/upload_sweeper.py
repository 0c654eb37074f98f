"""Removes what dead attempts have left of large uploads, from every DataStore that is ready."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from datums.control.abandoned import abandoned, live_attempts
from datums.control.cache import Obj
from datums.control.kube import KubeError
from datums.control.services import Services
from datums.control.store_access import is_anonymous, readiness
from datums.control.store_credentials import StoreSetupError
from datums.control.store_places import name_of, spec_of
from datums.control.store_reader import read_access
from datums.model import layout
from datums.stores.errors import StoreError
from datums.stores.protocol import Store

log = logging.getLogger(__name__)

_FIRST: Final = 60.0
"""Seconds from the start to the first look, so that an operator that is restarted often looks at all."""


class UploadSweeper:
    """Looks every `upload_sweep_seconds`. `ship` removes what its own execution left by itself; this is for executions that never
    came to run again."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self) -> None:
        """Sweeps until cancelled."""
        period = self._services.settings.upload_sweep_seconds
        await asyncio.sleep(min(_FIRST, period))
        while True:
            await self.sweep()
            await asyncio.sleep(period)

    async def sweep(self) -> None:
        """Looks at every store once, one after the other. What goes wrong is logged, and tried again the next time."""
        for store in list(self._services.cache.datastores.values()):
            if is_anonymous(spec_of(store)) or not readiness(store)[0]:
                continue
            try:
                removed, failed = await self._sweep(store)
            except (StoreError, StoreSetupError, KubeError) as error:
                log.warning("DataStore %s: unfinished uploads cannot be looked for: %s", name_of(store), error)
                continue
            except Exception:
                # Whatever a driver has wrong, the operator has more to do than this.
                log.exception("DataStore %s: unfinished uploads cannot be looked for", name_of(store))
                continue
            self._services.metrics.count_uploads(removed, failed)
            if removed or failed:
                log.info(
                    "DataStore %s: %d unfinished uploads of attempts that are over removed, %d not", name_of(store), removed, failed
                )

    async def _sweep(self, store: Obj) -> tuple[int, int]:
        services, settings = self._services, self._services.settings
        opened = await read_access(services.kube, store)
        live = live_attempts(services.cache.executions.values())
        begun_before = services.clock() - settings.upload_keep_seconds

        def look(target: Store) -> tuple[int, int]:
            pending = target.pending_uploads(layout.projects_prefix(target.prefix))
            removed = failed = 0
            chosen = abandoned(pending, prefix=target.prefix, live=live, begun_before=begun_before, namespaces=settings.namespaces)
            # The whole list first: removing from what is being listed can hide the next page.
            for upload in list(chosen):
                try:
                    target.abort_upload(upload.key, upload.upload)
                    removed += 1
                except StoreError as error:
                    log.warning("DataStore %s: the unfinished upload of %s stays: %s", target.name, target.uri(upload.key), error)
                    failed += 1
            return removed, failed

        return await services.stores.run(opened.access, opened.credentials, look)
