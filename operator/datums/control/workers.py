"""The workers: keys from the queue to the reconcilers of their kinds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from datums.control.kube import Conflict, KubeError
from datums.control.metrics import Metrics
from datums.control.queue import Key, Queue
from datums.control.services import Reconcile

log = logging.getLogger(__name__)


async def work(queue: Queue, reconcilers: Mapping[str, Reconcile], metrics: Metrics, may_work: Callable[[], bool]) -> None:
    """One worker, until cancelled.

    Args:
        reconcilers: by kind.
        may_work: asked before each key; where it says no, the key is left (the process is about to end).
    """
    while True:
        key = await queue.get()
        try:
            if may_work():
                await _one(key, reconcilers[key.kind], queue, metrics)
        finally:
            queue.done(key)


async def _one(key: Key, reconcile: Reconcile, queue: Queue, metrics: Metrics) -> None:
    started = time.monotonic()
    result = "ok"
    try:
        again = await reconcile(key)
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again)
    except Conflict as error:
        result = "conflict"
        log.debug("%s %s/%s: %s", *key, error)
        queue.retry(key)
    except KubeError as error:
        result = "error"
        log.warning("%s %s/%s: %s; again in %.1f s", *key, error, queue.retry(key))
    except Exception:
        # A worker must outlive every fault of a reconciler; the key comes again, later each time.
        result = "error"
        log.exception("%s %s/%s: unexpected error; again in %.1f s", *key, queue.retry(key))
    finally:
        metrics.count_reconcile(key.kind, result, time.monotonic() - started)
