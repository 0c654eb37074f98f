"""How fast a store is from here. Wall time, with nothing done to the bytes."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Final

from datums.stores.conformance.case import Case, Outcome
from datums.stores.conformance.site import Site

_GROUP: Final = "Speed"
_SMALL: Final = 10 << 10
_ROUNDS: Final = 20
_MANY: Final = 64
_LARGE: Final = 64 << 20


def _latency(site: Site) -> Outcome:
    store, body = site.store, os.urandom(_SMALL)
    keys = [site.key(f"{n}") for n in range(_ROUNDS)]
    put = statistics.median(_seconds(lambda key=key: store.put(key, body)) for key in keys)  # type: ignore[misc]
    get = statistics.median(_seconds(lambda key=key: store.read(key, 0, _SMALL)) for key in keys)  # type: ignore[misc]
    return Outcome(
        "yes",
        f"put {put * 1000:.1f} ms, get {get * 1000:.1f} ms",
        {"put_p50_ms": round(put * 1000, 2), "get_p50_ms": round(get * 1000, 2)},
    )


def _small(site: Site) -> Outcome:
    store, body = site.store, os.urandom(_SMALL)
    keys = [site.key(f"{n}") for n in range(_MANY)]
    put = _MANY / _seconds(lambda: site.parallel(lambda key: store.put(key, body), keys))
    get = _MANY / _seconds(lambda: site.parallel(lambda key: store.read(key, 0, _SMALL), keys))
    return Outcome("yes", f"put {put:.0f}/s, get {get:.0f}/s", {"put_per_s": round(put, 1), "get_per_s": round(get, 1)})


def _large(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    part = store.part_size(_LARGE)
    data = os.urandom(min(part, _LARGE))
    offsets = range(0, _LARGE, part)

    def send(offset: int) -> str:
        piece = memoryview(data)[: min(part, _LARGE - offset)]
        return store.put_part(key, upload, offset // part + 1, piece, offset=offset, size=_LARGE)

    def receive(offset: int) -> None:
        for _ in store.stream(key, offset, min(part, _LARGE - offset)):
            pass

    started = time.monotonic()
    upload = store.begin_upload(key)
    tags = [send(offset) for offset in offsets] if store.parts_in_order else site.parallel(send, offsets)
    store.finish_upload(key, upload, tags)
    put = _LARGE / 1e6 / (time.monotonic() - started)
    get = _LARGE / 1e6 / _seconds(lambda: site.parallel(receive, offsets))
    return Outcome("yes", f"put {put:.0f} MB/s, get {get:.0f} MB/s", {"put_mb_s": round(put, 1), "get_mb_s": round(get, 1)})


def _seconds(fn: Callable[[], object]) -> float:
    started = time.monotonic()
    fn()
    return time.monotonic() - started


CASES: Final = (
    Case(_GROUP, "latency", f"{_ROUNDS} × 10 KiB one after the other, the median", "may", _latency),
    Case(_GROUP, "small objects", f"{_MANY} × 10 KiB at once", "may", _small),
    Case(_GROUP, "large object", f"one of {_LARGE >> 20} MiB, its parts at once where the service takes them so", "may", _large),
)
