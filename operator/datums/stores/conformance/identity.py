"""Who is let in, and which headers are accepted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from datums.stores import errors
from datums.stores.conformance.case import YES, Case, Outcome, expect, no
from datums.stores.conformance.site import Site

_GROUP: Final = "Access"


def _stranger_reads(site: Site) -> Outcome:
    key = site.key("object")
    site.store.put(key, b"x")
    stranger = site.open(anonymous=True)
    can = [name for name, call in (("read", lambda: stranger.get(key)), ("list", lambda: list(stranger.list(key)))) if _lets(call)]
    return no(f"anybody can {' and '.join(can)} here, also without credentials") if can else YES


def _stranger_writes(site: Site) -> Outcome:
    key = site.key("object")
    stranger = site.open(anonymous=True)
    if _lets(lambda: stranger.put(key, b"x")):
        return no("anybody can write here, also without credentials")
    try:
        site.store.head(key)
    except errors.NotFound:
        return YES
    return no("it is refused, and done all the same")


def _lets(call: Callable[[], object]) -> bool:
    try:
        call()
    except errors.StoreError as error:
        if error.retryable:
            raise
        return False
    return True


def _checksums(site: Site) -> Outcome:
    store = site.open(checksums="WhenSupported")
    key = site.key("object")
    try:
        store.put(key, b"x")
        expect(store.get(key) == b"x", "other bytes came back")
        large = site.key("parts")
        data = os.urandom(store.part_size(1))
        upload = store.begin_upload(large)
        tag = store.put_part(large, upload, 1, data, offset=0, size=len(data))
        store.finish_upload(large, upload, [tag])
    except errors.StoreError as error:
        if error.retryable:
            raise
        return Outcome("refused", f"{error}; set spec.tuning.checksums: WhenRequired")
    return YES


CASES: Final = (Case(_GROUP, "strangers do not read", "an object is read and listed without credentials", "may", _stranger_reads),)
S3_CASES: Final = (
    Case(_GROUP, "strangers do not write", "an object is written without credentials", "must", _stranger_writes),
    Case(_GROUP, "checksum headers", "`x-amz-checksum-sha256` with an object and with a part", "may", _checksums),
)
"""For the services that speak S3. The other drivers send no write without credentials: the service itself would not be asked."""
