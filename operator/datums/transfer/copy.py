"""Loads what one link leads to, to a path of one's own, outside any execution.

Everything is loaded beside its destination first, in a directory of this link and path, and moved there when all of it is
verified. What an interrupted run has loaded is found by the next one of the same link and path.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from datums.model import globs
from datums.model.commit import Pinned
from datums.model.plan import DatumSource, ObjectsSource, Plan, SetSource, Source, StoreAccess, WebSource
from datums.stores import errors, open_store
from datums.stores.protocol import Store
from datums.transfer.fetch_load import Loading
from datums.transfer.fetch_paths import Paths
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_stores import Line, Lines
from datums.transfer.fetch_wanted import Wanted

INPUT: Final = "files"
"""The name of the one input of the plan, by which messages call it."""


class CopyError(Exception):
    """The destination is not fit; the message says what to do."""


class Destination(NamedTuple):
    """Where the files go."""

    path: Path
    """Of the file; of the directory that the files go below where there can be several."""
    single: bool
    """One file."""
    named: bool
    """Of one file, whether `path` is its own name, or the directory that it goes into under the name that it has."""
    stage: Path
    """The directory beside it."""


def destination(source: Source, path: str) -> Destination:
    """Where the files of a source go.

    Args:
        path: of the file to write, or of a directory: the one that a file goes into, or that several are written below.

    Raises:
        CopyError: there is no such directory.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100  symlinks stay as they are
    single = is_single(source)
    into = target.is_dir() or path.endswith("/")
    if target.exists() and not target.is_dir() and (not single or path.endswith("/")):
        raise CopyError(f"{path} is a file, and {source.link} leads to several: name a directory")
    base = target if single and into else target.parent
    if not base.is_dir():
        raise CopyError(f"there is no directory {base}: make it first")
    name = hashlib.sha256(f"{source.link}\0{target}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return Destination(target, single, single and not into, base / f".datums-cp-{name}")


def is_single(source: Source) -> bool:
    """Whether a source is one file by its form."""
    match source:
        case DatumSource() | WebSource():
            return True
        case ObjectsSource(pattern=pattern):
            return not globs.is_glob(pattern)
        case SetSource(datum=datum, path=path):
            return bool(datum or (path and not globs.is_glob(path)))


class MemoryLines(Lines):
    """Stores whose credentials are in memory: none is ever written to a disk here."""

    def __init__(self, stores: Mapping[str, StoreAccess], credentials: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__(stores, Path())
        self._credentials = credentials

    def line(self, name: str) -> Line:
        with self._lock:
            if name not in self._lines:
                access = self._stores[name] if name else None
                self._lines[name] = _MemoryLine(access, self._credentials.get(name, {}))
            return self._lines[name]


class _MemoryLine(Line):
    def __init__(self, access: StoreAccess | None, credentials: Mapping[str, str]) -> None:
        super().__init__(access, Path())
        self._credentials = credentials

    def renew(self) -> None:
        name = self.access.name if self.access else ""
        raise errors.AccessDenied(f"{name}: the credentials have expired: get new ones, and run this again", store=name)

    def _open(self) -> Store:
        if self.access is None:
            raise AssertionError("public files are in no store")
        if self._store is None:
            self._store = open_store(self.access, self._credentials)
        return self._store


def copy(plan: Plan, to: Destination, lines: Lines, progress: Progress, *, overwrite: bool = False) -> Pinned:
    """Loads the files of the plan's one input, called `INPUT`, and puts them where they shall be.

    Args:
        overwrite: what is there is replaced.

    Returns:
        The link in the form that names these bytes for good, and how many they are.

    Raises:
        CopyError: the destination is not fit, or taken.
        FetchError: the files cannot be had. Those that could are kept for the next run, unless what the link leads to has changed.
        OSError: the disk fails.
    """
    with _staged(to.stage) as stage:
        files, moving = stage / INPUT, stage / "moving.json"

        def check(wanted: Iterator[Wanted]) -> None:
            for one in wanted:
                _check_free(_final(to, one.path))

        if moving.exists():
            # An earlier run has loaded everything, and was interrupted while it moved the files.
            pinned = msgspec.json.decode(moving.read_bytes(), type=Pinned)
        else:
            loading = Loading(plan, _paths(stage), progress, lines)
            pinned = loading.load((lambda _: None) if overwrite else check)[0]
            _make_public(files)
            moving.write_bytes(msgspec.json.encode(pinned))
        _move(files, to, overwrite=overwrite)
    return pinned


@contextmanager
def _staged(stage: Path) -> Iterator[Path]:
    """The directory beside the destination, for this process alone; gone when all went well, or when it holds nothing of use."""
    stage.mkdir(mode=0o700, exist_ok=True)
    (stage / INPUT).mkdir(exist_ok=True)
    lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CopyError(f"another process loads the same link to the same path (it holds {stage})") from None
        try:
            yield stage
        except BaseException:
            if not has_files(stage):
                shutil.rmtree(stage, ignore_errors=True)
            raise
        shutil.rmtree(stage)
    finally:
        os.close(lock)


def has_files(stage: Path) -> bool:
    """Whether an interrupted run has left verified files."""
    return any(names for _, _, names in os.walk(stage / INPUT))


def _paths(stage: Path) -> Paths:
    # Of the pod's paths only these two are used here.
    return replace(Paths.below(stage), inputs=stage, state=stage)


def _final(to: Destination, path: str) -> Path:
    return to.path if to.named else to.path / path


def _check_free(path: Path) -> None:
    if path.is_symlink() or path.exists():
        raise CopyError(f"{path} is there already: name another path, or give --overwrite")


def _make_public(files: Path) -> None:
    """Inputs of a pod are read-only; a copy has the mode that a new file has."""
    mask = os.umask(0)
    os.umask(mask)
    for directory, _, names in os.walk(files):
        for name in names:
            Path(directory, name).chmod(0o666 & ~mask)


def _move(files: Path, to: Destination, *, overwrite: bool) -> None:
    if not to.single and not to.path.exists():
        files.rename(to.path)
        return
    for directory, _, names in os.walk(files):
        below = Path(directory).relative_to(files)
        if not to.named:
            (to.path / below).mkdir(exist_ok=True)
        for name in names:
            final = to.path if to.named else to.path / below / name
            (_replace if overwrite else _place)(Path(directory, name), final)


def _replace(source: Path, final: Path) -> None:
    if final.is_dir():
        raise CopyError(f"{final} is a directory, and would have to be a file: remove it, or name another path")
    source.replace(final)


def _place(source: Path, final: Path) -> None:
    """Moves a file to a name that is free; one that somebody takes in this moment stays."""
    try:
        final.hardlink_to(source)
    except FileExistsError:
        _check_free(final)
        raise
    except OSError:
        # File systems without hard links.
        _check_free(final)
        source.rename(final)
    else:
        source.unlink()
