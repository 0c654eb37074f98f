"""Believes nothing but the store: reads an attempt's commit and manifest again and compares them with each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from datums.model import ids, layout
from datums.model.commit import FORMAT, SET_FORMAT, Commit, SetIndex
from datums.model.manifest import Entry, ManifestError, Reader, Summary
from datums.model.plan import ExecutionRef
from datums.stores.errors import NotFound, StoreError
from datums.stores.protocol import Store


@dataclass(frozen=True, slots=True)
class Verified:
    """A commit whose manifest holds what it says."""

    commit: Commit
    entries: tuple[Entry, ...]
    """Every file, where there are at most `datum_limit`; else none."""


@dataclass(frozen=True, slots=True)
class NoCommit:
    """There is no commit."""


@dataclass(frozen=True, slots=True)
class Broken:
    """There is a commit, and it is not true."""

    message: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The store did not answer; asking again may help."""

    message: str


Findings: TypeAlias = Verified | NoCommit | Broken | Trouble


class _False(Exception):
    pass


def verifier(attempt: ExecutionRef, datum_limit: int) -> Callable[[Store], Findings]:
    """The function that looks at the store; it blocks and belongs in a thread."""

    def look(store: Store) -> Findings:
        try:
            return _verify(store, attempt, datum_limit)
        except (_False, ManifestError, msgspec.MsgspecError) as error:
            return Broken(str(error))
        except StoreError as error:
            # Also a refusal is no word on the commit: credentials can be mended.
            return Trouble(str(error))

    return look


def _verify(store: Store, attempt: ExecutionRef, datum_limit: int) -> Findings:
    prefix = layout.attempt_prefix(store.prefix, attempt.namespace, attempt.name, attempt.uid, attempt.attempt)
    try:
        commit = msgspec.json.decode(store.get(layout.commit_key(prefix)), type=Commit)
    except NotFound:
        return NoCommit()
    manifest = commit.outputs.manifest
    _same("format of the commit", commit.format, FORMAT)
    _same("execution of the commit", commit.execution, attempt)
    _same("store of the manifest", manifest.store, store.name)
    _same("key of the manifest", manifest.key, layout.manifest_key(prefix, manifest.sha256))
    try:
        index = msgspec.json.decode(store.get(layout.set_key(store.prefix, attempt.namespace, commit.set)), type=SetIndex)
        _same("set", (index.format, index.execution), (SET_FORMAT, attempt))
        reader = Reader(store.stream(manifest.key))
        _same("kind of the manifest", (reader.header.kind, reader.header.project), ("outputs", attempt.namespace))
        keep = commit.outputs.files <= datum_limit
        entries: list[Entry] = []
        last: tuple[str, int] | None = None
        for entry in reader:
            if last is not None and entry.order <= last:
                raise _False(f"the manifest is not in order at {entry.path!r}")
            last = entry.order
            _check(entry, store.name, prefix, commit.set)
            if keep and not entry.is_directory:
                entries.append(entry)
    except NotFound as error:
        raise _False(f"the commit is there, but {error}") from None
    _same("manifest", reader.summary, Summary(manifest.sha256, commit.outputs.files, commit.outputs.bytes))
    return Verified(commit, tuple(entries))


def _check(entry: Entry, store: str, prefix: str, set_hex: str) -> None:
    if entry.is_directory:
        return
    where = entry.location
    if where is None or where.store != store or not where.key.startswith(prefix):
        raise _False(f"the manifest says that {entry.path!r} lies at {where}, which is outside of this attempt's own {prefix}")
    _same(f"datum of {entry.path!r}", entry.datum, str(ids.file_id(set_hex, entry.path, entry.sequence, entry.sha256)))


def _same(what: str, found: object, right: object) -> None:
    if found != right:
        raise _False(f"{what}: {found!r} instead of {right!r}")
