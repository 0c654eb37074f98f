"""What every reconciler is given."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from datums.control.cache import Cache
from datums.control.kube import Kube
from datums.control.metrics import Metrics
from datums.control.queue import Key, Queue
from datums.control.recorder import Recorder
from datums.control.settings import Settings
from datums.control.store_pool import StorePool
from datums.model.commit import Report

Reconcile: TypeAlias = Callable[[Key], Awaitable[float | None]]
"""Looks at one object and does what is to be done. Returns the seconds after which it wants to be asked again, None for never;
raises to be asked again with a back-off. `Conflict` is no error: it is asked again soon."""


@dataclass(slots=True, kw_only=True)
class Services:
    """The seams of one operator process."""

    kube: Kube
    cache: Cache
    queue: Queue
    recorder: Recorder
    metrics: Metrics
    settings: Settings
    stores: StorePool
    agent_url: str = ""
    """Where pods report progress; empty for nowhere."""
    progress: dict[str, tuple[Report, float]] = field(default_factory=dict)
    """Pod uid → the latest report and when it came (`time.monotonic`). Entries of pods that are gone are dropped."""
    secret_versions: dict[tuple[str, str], str] = field(default_factory=dict)
    """(namespace, name) of a DataStore → resource version of its Secret, as last seen. When one changes, every execution that has
    not ended is asked for."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
