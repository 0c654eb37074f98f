"""Tries a store with small objects: what the operator's `Ready` condition and the capabilities rest on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    done: str

    @property
    def message(self) -> str:
        """What was done, as a sentence for the `Ready` condition."""
        return f"{self.done} in {self.seconds * 1000:.0f} ms"


def probe(store: Store, *, anonymous: bool = False) -> Probed:
    """Writes, reads back, lists and removes objects below the store's prefix; one that is anonymous is only read.

    Args:
        store: opened with `conditional_put` left at true, so that the service itself is asked.
        anonymous: it is used without credentials.

    Raises:
        StoreError: its reason is one of `StoreNotReady`.
    """
    started = time.monotonic()
    capabilities, done = _look(store) if anonymous else _write(store)
    return Probed(capabilities, time.monotonic() - started, done)


def _write(store: Store) -> tuple[Capabilities, str]:
    key = layout.probe_key(store.prefix, uuid4().hex)
    # First a read: some services make the bucket on the first write of an administrator, and a refused write alone
    # would not tell "read-only" from "not at all".
    _listed(store, key)
    with _removing(store, key):
        try:
            store.put(key, _BODY, if_absent=True)
        except errors.CredentialExpired:
            raise
        except errors.AccessDenied as error:
            raise errors.ReadOnly(f"reading works, writing does not: {error}", store=store.name, key=key) from None
        if store.get(key) != _BODY:
            raise _broken(store, key, "gave other bytes than were written to it")
        if not _listed(store, key):
            raise _broken(store, key, "is not in the list after it was written")
        capabilities = Capabilities(
            conditional_put=_refuses_taken(store, key),
            ranged_get=_gives_range(store, key, 7, _BODY[7:12]),
            versioning=bool(store.head(key).version),
            multipart=_takes_parts(store),
        )
    return capabilities, "wrote, read back, listed and removed a probe object"


def _look(store: Store) -> tuple[Capabilities, str]:
    what, found = "listed the bucket; read-only: no credentials", None
    try:
        found = next(iter(store.list()), None)
    except errors.AccessDenied:
        # Whether anything in it is public cannot be known without a name.
        what = "asked for a list, which is refused without credentials; read-only: objects that are public can be read by name"
    ranged, versions = True, False
    if found is not None and found.size:
        try:
            ranged = _gives_range(store, found.key, 0, None)
            versions = bool(store.head(found.key).version)
        except (errors.AccessDenied, errors.NotFound, errors.UnsupportedKey):
            pass  # a list tells nothing of what can be read
    return Capabilities(conditional_put=False, ranged_get=ranged, versioning=versions, multipart=False), what


def _listed(store: Store, key: str) -> bool:
    return any(found.key == key for found in store.list(key))


def _refuses_taken(store: Store, key: str) -> bool:
    try:
        store.put(key, _BODY, if_absent=True)
    except errors.AlreadyExists:
        return store.conditional_put
    return False


def _takes_parts(store: Store) -> bool:
    # Another key, for some services take few writes of one key in a second.
    key = layout.probe_key(store.prefix, uuid4().hex)
    with _removing(store, key):
        try:
            _send_part(store, key, finish=True)
            _send_part(store, key, finish=False)
        except errors.StoreError as error:
            if error.retryable:
                raise
            return False
        return store.get(key) == _BODY


def _send_part(store: Store, key: str, *, finish: bool) -> None:
    upload = store.begin_upload(key)
    try:
        tag = store.put_part(key, upload, 1, _BODY, offset=0, size=len(_BODY))
        if finish:
            store.finish_upload(key, upload, [tag])
        else:
            store.abort_upload(key, upload)
    except BaseException:
        with suppress(errors.StoreError):
            store.abort_upload(key, upload)
        raise


def _gives_range(store: Store, key: str, offset: int, expected: bytes | None) -> bool:
    """Whether a part of an object comes; `expected` is what it is, where that is known."""
    try:
        got = bytes(store.read(key, offset, len(expected) if expected else 1))
    except errors.AccessDenied:
        raise
    except errors.StoreError as error:
        if error.retryable and not isinstance(error, errors.EndpointUnreachable):
            raise
        return False
    return expected is None or got == expected


@contextmanager
def _removing(store: Store, key: str) -> Iterator[None]:
    """Removes the object at the end; that it cannot be is an error unless there is another one."""
    try:
        yield
    except errors.StoreError:
        with suppress(errors.StoreError):
            store.delete(key)
        raise
    store.delete(key)


def _broken(store: Store, key: str, what: str) -> errors.StoreError:
    return errors.EndpointUnreachable(
        f"DataStore {store.name}: the service does not do what an object store does: {store.uri(key)} {what}",
        store=store.name,
        key=key,
    )
