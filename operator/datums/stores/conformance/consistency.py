"""What is seen of a write, when, and what tells that an object has changed."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Final

from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Differs, Outcome, expect, no
from datums.stores.conformance.site import Site

_GROUP: Final = "Consistency"
_ROUNDS: Final = 5
_MANY: Final = 1100  # services list 1,000, or 5,000, at once
_CLOCK_LIMIT: Final = 300.0  # seconds; services refuse signatures at 15 minutes


def _read_after_write(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    for n in range(_ROUNDS):
        store.put(key, f"{n}".encode())
        expect(store.get(key) == f"{n}".encode(), "the bytes of an earlier write came back")
    return YES


def _list_after_write(site: Site) -> Outcome:
    for n in range(_ROUNDS):
        key = site.key(f"{n}")
        site.store.put(key, b"x")
        expect(any(info.key == key for info in site.store.list(site.place)), "it is not in the list")
    return YES


def _gone_after_delete(site: Site) -> Outcome:
    store = site.store
    for n in range(_ROUNDS):
        key = site.key(f"{n}")
        store.put(key, b"x")
        store.get(key)
        store.delete(key)
        expect(not any(info.key == key for info in store.list(site.place)), "it is still in the list")
        try:
            store.get(key)
        except errors.NotFound:
            continue
        raise Differs("it can still be read")
    return YES


def _changed(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"first")
    before = store.head(key)
    expect(b"".join(store.stream(key, etag=before.etag)) == b"first", "other bytes came back")
    store.put(key, b"other")  # of the same size
    expect(store.head(key).etag != before.etag, "the ETag stays the same when the bytes change")
    for call in (lambda: list(store.stream(key, etag=before.etag)), lambda: store.read(key, 0, 5, etag=before.etag)):
        try:
            call()
        except errors.Changed:
            continue
        raise Differs("a changed object is read on condition that it did not change")
    return YES


def _versions(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"first")
    before = store.head(key).version
    store.put(key, b"other")
    if not before:
        return no("the bucket keeps no versions: an object that is replaced is noticed, but its earlier bytes are gone")
    try:
        found = b"".join(store.stream(key, version=before))
    except (errors.NotFound, errors.Changed):
        return no("each write has a version, but the bucket does not keep the earlier ones")
    expect(found == b"first", "a read of one version gives the bytes of another")
    return YES


def _pinned(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"first")
    before = store.head(key).version
    store.put(key, b"other")
    if not before:
        return Outcome("yes", "there are no versions to read: the ETag is what tells a change")
    with suppress(errors.NotFound, errors.Changed):
        expect(b"".join(store.stream(key, version=before)) == b"first", "a read of one version gives the bytes of another")
    with suppress(errors.NotFound, errors.Changed):
        expect(bytes(store.read(key, 0, 5, version=before)) == b"first", "a read of one version gives the bytes of another")
    return YES


def _order(site: Site) -> Outcome:
    names = ["Z", "a", "a-b", "a/b", "a0", "b", "é", "\uff5e", "😀"]
    keys = [site.key(name) for name in names]
    site.parallel(lambda key: site.again(lambda: site.store.put(key, b"")), reversed(keys))
    found = [info.key for info in site.store.list(site.place)]
    expect(sorted(found) == sorted(keys), f"{len(found)} of {len(keys)} are listed")
    return YES if found == sorted(keys, key=str.encode) else no("another order (Datums needs none)")


def _pages(site: Site) -> Outcome:
    keys = [site.key(f"{n:04}") for n in range(_MANY)]
    site.parallel(lambda key: site.again(lambda: site.store.put(key, b"")), keys)
    found = [info.key for info in site.store.list(site.place)]
    expect(len(found) == len(set(found)), f"{len(found) - len(set(found))} are listed twice")
    expect(set(found) == set(keys), f"{len(set(found) & set(keys))} of {_MANY} are listed")
    return YES


def _clock(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    before = time.time()
    store.put(key, b"x")
    after = time.time()
    told = store.head(key).last_modified
    # Services tell whole seconds.
    behind, ahead = before - (told + 1), told - after
    off = max(0.0, behind, ahead)
    outcome = Outcome("yes", f"{off:.0f} s", {"clock_difference_s": round(off, 1)})
    return outcome if off < _CLOCK_LIMIT else no(f"{off:.0f} s: synchronise the clocks, or requests will be refused")


CASES: Final = (
    Case(_GROUP, "read after write", "an object is written and read, five times", "must", _read_after_write),
    Case(_GROUP, "list after write", "an object is written and listed, five times", "must", _list_after_write),
    Case(_GROUP, "gone after delete", "an object is removed, then neither listed nor read, five times", "must", _gone_after_delete),
    Case(_GROUP, "change detected", "`If-Match` with the ETag of bytes that were replaced by as many others", "must", _changed),
    Case(_GROUP, "versions", "replaced bytes are read by their version", "may", _versions),
    Case(_GROUP, "pinned version", "a read of one version gives its bytes or an error, never those of another", "must", _pinned),
    Case(_GROUP, "list order", "keys are listed in the order of their bytes", "may", _order),
    Case(_GROUP, "clock", "the service's clock and this machine's", "must", _clock),
)
PAGES: Final = Case(_GROUP, "long list", f"{_MANY:,} objects are written, and all are listed once", "must", _pages)
