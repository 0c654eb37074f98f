"""Large objects: in parts, in any order, resumed by another client, aborted."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Final

from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Outcome, expect, no
from datums.stores.conformance.site import Site
from datums.stores.protocol import Store

_GROUP: Final = "Large objects"


class _Large:
    """Bytes of two and a half parts."""

    def __init__(self, store: Store) -> None:
        part = store.part_size(1)
        self.size = 2 * part + part // 2
        self.part = store.part_size(self.size)
        self.data = os.urandom(self.size)
        self.count = -(-self.size // self.part)

    def send(self, store: Store, key: str, upload: str, number: int) -> str:
        offset = (number - 1) * self.part
        data = self.data[offset : offset + self.part]
        return store.put_part(key, upload, number, data, offset=offset, size=self.size)

    def expect_in(self, store: Store, key: str) -> None:
        digest = hashlib.sha256()
        for chunk in store.stream(key):
            digest.update(chunk)
        expect(digest.digest() == hashlib.sha256(self.data).digest(), "other bytes came back")
        expect(store.head(key).size == self.size, "HEAD tells another size")


def _whole(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    large = _Large(store)
    store.put_file(key, io.BytesIO(large.data), large.size)
    large.expect_in(store, key)
    return YES


def _any_order(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    if store.parts_in_order:
        return no("the parts of one object are sent one after the other")
    large = _Large(store)
    upload = store.begin_upload(key)
    tags = {number: large.send(store, key, upload, number) for number in range(large.count, 0, -1)}
    store.finish_upload(key, upload, [tags[number] for number in sorted(tags)])
    large.expect_in(store, key)
    return YES


def _resumed(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    large = _Large(store)
    upload = store.begin_upload(key)
    tags = [large.send(store, key, upload, 1)]
    expect(not _is_there(store, key), "a part of the object can be read before it is whole")
    other = site.open()
    other.sent_parts(key, upload)
    if not other.parts_in_order:
        tags[0] = large.send(other, key, upload, 1)
    tags += [large.send(other, key, upload, number) for number in range(2, large.count + 1)]
    other.finish_upload(key, upload, tags)
    large.expect_in(store, key)
    return YES


def _pending(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    large = _Large(store)
    upload = store.begin_upload(key)
    large.send(store, key, upload, 1)
    shown = (key, upload) in {(found.key, found.upload) for found in store.pending_uploads(site.place)}
    store.abort_upload(key, upload)
    if shown:
        return YES
    return no("the service shows no unfinished upload: what is left of one it removes by itself, or by a lifecycle rule")


def _aborted(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    large = _Large(store)
    upload = store.begin_upload(key)
    large.send(store, key, upload, 1)
    store.abort_upload(key, upload)
    store.abort_upload(key, upload)
    left = [found for found in store.pending_uploads(site.place) if (found.key, found.upload) == (key, upload)]
    expect(not left, "it is still shown as unfinished")
    expect(not _is_there(store, key), "the object appeared")
    return YES


def _finished_twice(site: Site) -> Outcome:
    store, key = site.store, site.key("object")
    large = _Large(store)
    upload = store.begin_upload(key)
    tags = [large.send(store, key, upload, number) for number in range(1, large.count + 1)]
    store.finish_upload(key, upload, tags)
    try:
        store.finish_upload(key, upload, tags)
    except errors.NotFound:
        large.expect_in(store, key)
        return no("the second time is an error of its own kind, and the object stays as it is")
    large.expect_in(store, key)
    return YES


def _is_there(store: Store, key: str) -> bool:
    try:
        store.head(key)
    except errors.NotFound:
        return False
    return True


CASES: Final = (
    Case(_GROUP, "in parts", "an object of two and a half parts is written and read back", "must", _whole),
    Case(_GROUP, "any order", "its parts are sent last first", "may", _any_order),
    Case(_GROUP, "resumed", "one client begins it, another one sends the first part again, goes on and finishes", "must", _resumed),
    Case(_GROUP, "unfinished shown", "an upload that nobody finished is listed", "may", _pending),
    Case(_GROUP, "aborted", "an upload is aborted, twice, and leaves nothing", "must", _aborted),
    Case(_GROUP, "finished twice", "an upload that is finished is finished again", "may", _finished_twice),
)
