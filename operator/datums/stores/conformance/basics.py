"""Objects: written, read whole and in part, listed, written again, removed."""

from __future__ import annotations

import io
from typing import Final

from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Differs, Outcome, expect, no
from datums.stores.conformance.site import Site

_GROUP: Final = "Objects"
_BODY: Final = bytes(range(256)) * 40


def _put(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, _BODY)
    info = store.head(key)
    expect(store.get(key) == _BODY, "other bytes came back")
    expect((info.key, info.size) == (key, len(_BODY)), f"HEAD tells {info.size} bytes instead of {len(_BODY)}")
    expect(bool(info.etag), "HEAD tells no ETag")
    return YES


def _put_file(site: Site) -> Outcome:
    store, key = site.store, site.key("file")
    store.put_file(key, io.BytesIO(_BODY), len(_BODY))
    expect(b"".join(store.stream(key)) == _BODY, "other bytes came back")
    return YES


def _empty(site: Site) -> Outcome:
    store = site.store
    put, file = site.key("put"), site.key("file")
    store.put(put, b"")
    store.put_file(file, io.BytesIO(b""), 0)
    for key in (put, file):
        expect(store.head(key).size == 0, "HEAD does not tell 0 bytes")
        expect(store.get(key) == b"" and b"".join(store.stream(key)) == b"", "bytes came back")
        expect([f.size for f in store.list(key)] == [0], "the list does not have it with 0 bytes")
    return YES


def _ranges(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, _BODY)
    end = len(_BODY)
    for offset, length in ((0, 1), (7, 500), (end - 3, 3), (0, end)):
        expect(bytes(store.read(key, offset, length)) == _BODY[offset : offset + length], f"bytes {offset}+{length} are others")
        expect(
            b"".join(store.stream(key, offset, length)) == _BODY[offset : offset + length], f"bytes {offset}+{length} are others"
        )
    expect(b"".join(store.stream(key, 100)) == _BODY[100:], "the bytes from 100 on are others")
    try:
        store.read(key, end - 3, 10)
    except errors.StoreError:
        return YES
    raise Differs("a range that goes beyond the end of the object is no error")


def _missing(site: Site) -> Outcome:
    store, key = site.store, site.key("not-there")
    for name, call in (
        ("HEAD", lambda: store.head(key)),
        ("GET", lambda: store.get(key)),
        ("a range", lambda: store.read(key, 0, 1)),
        ("a stream", lambda: list(store.stream(key))),
    ):
        try:
            call()
        except errors.NotFound:
            continue
        raise Differs(f"{name} of an object that is not there is no NotFound")
    store.delete(key)
    expect(list(store.list(key)) == [], "the list has it")
    return YES


def _prefix(site: Site) -> Outcome:
    store = site.store
    keys = [site.key(name) for name in ("model/a", "model/b/c", "model-hf/d", "modeless")]
    for key in keys:
        store.put(key, b"x")
    for prefix, wanted in (("model/", keys[:2]), ("model", keys), ("model-", keys[2:3]), ("none", [])):
        found = [info.key for info in store.list(site.place + prefix)]
        expect(sorted(found) == sorted(wanted), f"below {prefix!r} are listed {[key.removeprefix(site.place) for key in found]}")
    return YES


def _overwrite(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"first")
    store.put(key, b"other")
    expect(store.get(key) == b"other", "the first bytes came back")
    expect(sum(info.key == key for info in store.list(key)) == 1, "the list has it more than once")
    return YES


def _conditional(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"first", if_absent=True)
    try:
        store.put(key, b"other", if_absent=True)
    except errors.AlreadyExists:
        expect(store.get(key) == b"first", "it is refused, and done all the same")
        if store.conditional_put:
            return YES
    return no(
        "the service ignores the condition: Datums looks first and then writes, so two writers in one moment can both succeed"
    )


def _one_winner(site: Site) -> Outcome:
    store, key = site.store, site.key("object")

    def write(n: int) -> int:
        try:
            store.put(key, f"{n}".encode(), if_absent=True)
        except errors.AlreadyExists:
            return 0
        return 1

    winners = sum(site.parallel(write, range(8)))
    expect(winners > 0, "all of them were refused")
    return YES if winners == 1 else no(f"{winners} of 8 succeeded")


def _delete(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    store.put(key, b"x")
    store.delete(key)
    store.delete(key)
    try:
        store.head(key)
    except errors.NotFound:
        return YES
    raise Differs("it is still there")


CASES: Final = (
    Case(_GROUP, "put, get, head", "10 KiB are written in one request and read back", "must", _put),
    Case(_GROUP, "file", "the same as a stream", "must", _put_file),
    Case(_GROUP, "empty object", "an object of 0 bytes is written, read and listed", "must", _empty),
    Case(_GROUP, "ranges", "parts of an object are read; one that goes beyond its end is an error", "must", _ranges),
    Case(_GROUP, "missing object", "reading it is an error of its own kind, removing it is none", "must", _missing),
    Case(_GROUP, "list by prefix", "`model` lists `model/…` and `model-hf/…`, `model/` only the first", "must", _prefix),
    Case(_GROUP, "overwrite", "an object is written twice", "must", _overwrite),
    Case(_GROUP, "conditional put", "a key that is taken is written with `If-None-Match: *`, or what the service has for it", "may",
         _conditional),
    Case(_GROUP, "one winner", "eight writers at once write one key on condition that it is free", "may", _one_winner),
    Case(_GROUP, "delete", "an object is removed, twice", "must", _delete),
)  # fmt: skip
