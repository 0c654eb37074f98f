"""The half of the kit for a store that may only be read: it reads one object that is there."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import Final

from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Differs, Outcome, expect
from datums.stores.conformance.site import Site
from datums.stores.protocol import ObjectInfo

_GROUP: Final = "Reading"
_LOOKED_AT: Final = 1000
_MOST: Final = 64 << 20
_ROUNDS: Final = 20


def _list(site: Site) -> Outcome:
    found = list(itertools.islice(site.store.list(""), _LOOKED_AT))
    keys = [info.key for info in found]
    expect(len(keys) == len(set(keys)), "objects are listed twice")
    return Outcome("yes", f"{len(found)} objects" if len(found) < _LOOKED_AT else f"the first {_LOOKED_AT:,} objects")


def _read(site: Site) -> Outcome:
    store, info = site.store, _sample(site)
    length = min(info.size, _MOST)
    got = sum(len(memoryview(chunk)) for chunk in store.stream(info.key, 0, length, etag=info.etag))
    expect(got == length, f"{got} bytes of {length} came back")
    return Outcome("yes", f"{store.uri(info.key)}, {info.size} bytes")


def _ranges(site: Site) -> Outcome:
    store, info = site.store, _sample(site)
    start = b"".join(store.stream(info.key, 0, min(info.size, 1 << 20)))
    for offset in (0, len(start) // 2, len(start) - 1):
        expect(bytes(store.read(info.key, offset, 1)) == start[offset : offset + 1], f"byte {offset} is another")
    return YES


def _missing(site: Site) -> Outcome:
    try:
        site.store.head(f"{site.root}not-there")
    except errors.NotFound:
        return YES
    except errors.AccessDenied:
        return Outcome("no", "the service does not tell a missing object from a forbidden one: the credentials may not list")
    raise Differs("an object that is not there is found")


def _changed(site: Site) -> Outcome:
    info = _sample(site)
    try:
        site.store.read(info.key, 0, 1, etag='"00000000000000000000000000000000"')
    except errors.Changed:
        return YES
    raise Differs("an object is read on condition that it has an ETag that it does not have")


def _latency(site: Site) -> Outcome:
    store, info = site.store, _sample(site)
    length = min(info.size, 10 << 10)
    taken = []
    for _ in range(_ROUNDS):
        started = time.monotonic()
        store.read(info.key, 0, length)
        taken.append(time.monotonic() - started)
    get = statistics.median(taken) * 1000
    return Outcome("yes", f"get {get:.1f} ms", {"get_p50_ms": round(get, 2)})


def _throughput(site: Site) -> Outcome:
    store, info = site.store, _sample(site, largest=True)
    length = min(info.size, _MOST)
    started = time.monotonic()
    for _ in store.stream(info.key, 0, length):
        pass
    get = length / 1e6 / (time.monotonic() - started)
    return Outcome("yes", f"get {get:.0f} MB/s ({length / 1e6:.1f} MB)", {"get_mb_s": round(get, 1)})


def _sample(site: Site, *, largest: bool = False) -> ObjectInfo:
    """An object that has bytes.

    Raises:
        Differs: none of those that were looked at has any.
    """
    if site.sample:
        info = site.store.head(site.sample)
        expect(info.size > 0, f"{site.store.uri(site.sample)} is empty: name an object that is not")
        return info
    having = (info for info in itertools.islice(site.store.list(""), _LOOKED_AT) if info.size)
    found = max(having, key=lambda info: info.size, default=None) if largest else next(having, None)
    if found is None:
        raise Differs("no object that could be read is listed: name one with --object")
    return found


CASES: Final = (
    Case(_GROUP, "list", "the bucket is listed", "may", _list),
    Case(_GROUP, "read", "an object is read, up to 64 MiB of it", "must", _read),
    Case(_GROUP, "ranges", "single bytes of it are read", "must", _ranges),
    Case(_GROUP, "missing object", "reading it is an error of its own kind", "may", _missing),
    Case(_GROUP, "change detected", "it is read on condition that its ETag is another one", "must", _changed),
    Case("Speed", "latency", f"{_ROUNDS} reads of up to 10 KiB one after the other, the median", "may", _latency),
    Case("Speed", "large object", "one stream", "may", _throughput),
)
