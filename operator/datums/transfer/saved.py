"""What lies below a prefix of a bucket, as users see it: a file that an execution saved is there under its own key, whether it
is an object or lies in a pack (`model.layout`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from datums.model import globs, layout
from datums.model.commit import Commit
from datums.model.manifest import Entry, ManifestError, Reader
from datums.stores import errors
from datums.stores.protocol import ObjectInfo, Store

_ATTEMPT = re.compile(r"[^/]+/executions/[^/]+/[0-9]+/")


class StoredFile(NamedTuple):
    """An object, or a file in a pack."""

    info: ObjectInfo
    """Of a file in a pack, its own key and size; no ETag, for its digest is known."""
    packed: Entry | None = None
    """The file's entry in its attempt's manifest: where its bytes are, and their digest."""


def attempt_of(prefix: str, key: str) -> str:
    """The attempt's prefix, ending in a slash, that a key lies below; empty where it lies below none.

    Args:
        prefix: the DataStore's.
    """
    projects = layout.projects_prefix(prefix)
    match = _ATTEMPT.match(key, len(projects)) if key.startswith(projects) else None
    return key[: match.end()] if match else ""


def matching(store: Store, pattern: str) -> Iterator[StoredFile]:
    """All files whose keys match a glob, each once, in no certain order.

    Raises:
        StoreError: also `Corrupt`, for a manifest that is not what its commit says.
    """
    fixed = globs.fixed_prefix(pattern)
    attempt = attempt_of(store.prefix, fixed)
    last = ""
    for info in store.list(fixed):
        # A listing that goes back is no listing of a bucket; one that repeats a key at the end of a page does no harm.
        if info.key != last and globs.matches(pattern, info.key):
            yield StoredFile(info)
        last = info.key
        above = "" if attempt else attempt_of(store.prefix, info.key)
        if above and info.key == layout.commit_key(above):
            yield from _packed(store, above, pattern)
    if attempt:
        yield from _packed(store, attempt, pattern)


def find(store: Store, key: str) -> StoredFile:
    """The file of a key.

    Raises:
        StoreError: `NotFound` where it is neither an object nor in a pack.
    """
    try:
        return StoredFile(store.head(key)._replace(key=key))
    except errors.NotFound:
        attempt = attempt_of(store.prefix, key)
        # To its end: only then it is known that the manifest is what its commit says.
        for found in list(_packed(store, attempt, key)) if attempt else ():
            return found
        raise


def _packed(store: Store, attempt: str, pattern: str) -> Iterator[StoredFile]:
    """The files of an attempt that lie in packs and match; none of an attempt that is not committed."""
    packs = f"{attempt}packs/"
    if next(iter(store.list(packs)), None) is None:
        return
    try:
        text = store.get(layout.commit_key(attempt))
    except errors.NotFound:
        return
    try:
        commit = msgspec.json.decode(text, type=Commit)
        wanted = commit.outputs.manifest
        reader = Reader(store.stream(wanted.key))
        for entry in reader:
            location = entry.location
            if location is None or not location.offset or not location.key.startswith(packs):
                continue
            key = layout.file_key(attempt, entry.path, entry.sequence)
            if key == pattern or (globs.is_glob(pattern) and globs.matches(pattern, key)):
                yield StoredFile(ObjectInfo(key, entry.size, "", entry.mtime), entry)
        if reader.summary is None or reader.summary.sha256 != wanted.sha256:
            raise ManifestError("the manifest has other bytes than the commit says")
    except (ManifestError, msgspec.MsgspecError, errors.NotFound) as error:
        raise errors.Corrupt(
            f"DataStore {store.name}: what {store.uri(layout.commit_key(attempt))} leads to cannot be read: {error}",
            store=store.name,
            key=layout.commit_key(attempt),
        ) from None
