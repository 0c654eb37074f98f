"""Tries a store with one small object: what the operator's `Ready` condition and the capabilities rest on."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from typing import Final, NamedTuple
from uuid import uuid4

from datums.api.datastore import Capabilities
from datums.model import layout
from datums.stores import errors
from datums.stores.protocol import Store

_BODY: Final = b"Datums wrote this to see whether the store works, and removes it again.\n"


class Probed(NamedTuple):
    """A store that works."""

    capabilities: Capabilities
    seconds: float

    @property
    def message(self) -> str:
        """What was done, as a sentence for the `Ready` condition."""
        return f"wrote, read back, listed and removed a probe object in {self.seconds * 1000:.0f} ms"


def probe(store: Store) -> Probed:
    """Writes, reads back, lists and removes an object below the store's prefix.

    Args:
        store: opened with `conditional_put` left at true, so that the service itself is asked.

    Raises:
        StoreError: its reason is one of `StoreNotReady`.
    """
    started = time.monotonic()
    key = layout.probe_key(store.prefix, uuid4().hex)
    # First a read: some services make the bucket on the first write of an administrator, and a refused write alone
    # would not tell "read-only" from "not at all".
    _listed(store, key)
    try:
        store.put(key, _BODY, if_absent=True)
    except errors.AccessDenied as error:
        raise errors.ReadOnly(f"reading works, writing does not: {error}", store=store.name, key=key) from None
    try:
        capabilities = _try(store, key)
    except errors.StoreError:
        with suppress(errors.StoreError):
            store.delete(key)
        raise
    store.delete(key)
    return Probed(capabilities, time.monotonic() - started)


def _try(store: Store, key: str) -> Capabilities:
    if store.get(key) != _BODY:
        raise _broken(store, key, "gave other bytes than were written to it")
    if not _listed(store, key):
        raise _broken(store, key, "is not in the list after it was written")
    return Capabilities(
        conditional_put=_refuses_taken(store, key),
        ranged_get=_gives_range(store, key),
        versioning=bool(store.head(key).version),
        multipart=_takes_parts(store, key),
    )


def _listed(store: Store, key: str) -> bool:
    return any(found.key == key for found in store.list(key))


def _refuses_taken(store: Store, key: str) -> bool:
    try:
        store.put(key, _BODY, if_absent=True)
    except errors.AlreadyExists:
        return store.conditional_put
    return False


def _takes_parts(store: Store, key: str) -> bool:
    try:
        store.put_file(key, io.BytesIO(_BODY), len(_BODY), in_parts=True)
    except errors.StoreError as error:
        if error.retryable:
            raise
        return False
    return store.get(key) == _BODY


def _gives_range(store: Store, key: str) -> bool:
    try:
        return b"".join(store.stream(key, 7, 5)) == _BODY[7:12]
    except errors.StoreError as error:
        if error.retryable:
            raise
        return False


def _broken(store: Store, key: str, what: str) -> errors.StoreError:
    return errors.EndpointUnreachable(
        f"DataStore {store.name}: the service does not answer as S3 does: {store.uri(key)} {what}", store=store.name, key=key
    )
