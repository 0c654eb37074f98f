"""Believes nothing but the store: reads an attempt's commit and manifest again and compares them with each other."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from datums.model import ids, layout
from datums.model.commit import FORMAT, SET_FORMAT, Commit, SetIndex
from datums.model.manifest import Entry, Reader, Summary
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


class _False(ValueError):
    pass


_TAR_BLOCK: Final = 512


def verifier(attempt: ExecutionRef, datum_limit: int) -> Callable[[Store], Findings]:
    """The function that looks at the store; it blocks and belongs in a thread."""

    def look(store: Store) -> Findings:
        try:
            return _verify(store, attempt, datum_limit)
        except (ValueError, msgspec.MsgspecError) as error:
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
        packs = Packs(f"{prefix}packs/")
        check = _checker(store.name, prefix, commit.set, packs)
        for entry in reader:
            if last is not None and entry.order <= last:
                raise _False(f"the manifest is not in order at {entry.path!r}")
            last = entry.order
            if not entry.is_directory:
                check(entry)
            if keep and not entry.is_directory:
                entries.append(entry)
        packs.check()
    except NotFound as error:
        raise _False(f"the commit is there, but {error}") from None
    _same("manifest", reader.summary, Summary(manifest.sha256, commit.outputs.files, commit.outputs.bytes))
    return Verified(commit, tuple(entries))


class Packs:
    """The files that lie in packs: that each begins where a file of a tar can begin, and that no two of them overlap."""

    def __init__(self, prefix: str) -> None:
        """
        Args:
            prefix: of the keys of the attempt's packs.
        """
        self._prefix = prefix
        # Numbers side by side, not objects: a million files are 16 MB.
        self._ranges: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, path: str, key: str, offset: int, size: int) -> None:
        """Takes note of a file.

        Raises:
            ValueError: it cannot begin there.
        """
        packed = key.startswith(self._prefix)
        if packed == (offset == 0) or offset % _TAR_BLOCK:
            what = "no file of a tar begins" if packed else "no pack is"
            raise ValueError(f"the manifest says that {path!r} begins at byte {offset} of {key}, where {what}")
        if packed:
            offsets, sizes = self._ranges.setdefault(key, (array("Q"), array("Q")))
            offsets.append(offset)
            sizes.append(size)

    def check(self) -> None:
        """Looks at all of them.

        Raises:
            ValueError: two files overlap. The very same range may have several names: links to one file.
        """
        for key, (offsets, sizes) in self._ranges.items():
            begin = end = 0
            for offset, size in sorted(zip(offsets, sizes, strict=True)):
                if offset < end and (offset, offset + size) != (begin, end):
                    raise ValueError(f"the manifest says that two files overlap at byte {offset} of {key}")
                begin, end = offset, offset + size


def _checker(store: str, prefix: str, set_hex: str, packs: Packs) -> Callable[[Entry], None]:
    id_of = ids.file_ids(set_hex)

    def check(entry: Entry) -> None:
        where = entry.location
        if where is None or where.store != store or not where.key.startswith(prefix):
            raise _False(f"the manifest says that {entry.path!r} lies at {where}, which is outside of this attempt's own {prefix}")
        packs.add(entry.path, where.key, where.offset, entry.size)
        if entry.datum != (right := id_of(entry.path, entry.sequence, entry.sha256)):
            raise _False(f"datum of {entry.path!r}: {entry.datum!r} instead of {right!r}")

    return check


def _same(what: str, found: object, right: object) -> None:
    if found != right:
        raise _False(f"{what}: {found!r} instead of {right!r}")
