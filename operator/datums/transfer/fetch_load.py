"""Loads all inputs: resolves the links, then works on every store at once."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from datums.api.reasons import Failed
from datums.model.commit import ManifestRef, Pinned, Resolved
from datums.model.plan import InputPlan, Plan
from datums.stores.errors import StoreError
from datums.transfer import fetch_manifest
from datums.transfer.config_files import long_document
from datums.transfer.fetch_access import uri
from datums.transfer.fetch_database import discard
from datums.transfer.fetch_errors import FetchError, failed_reason
from datums.transfer.fetch_paths import Paths
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_record import Summing, not_reproducible, pin, record
from datums.transfer.fetch_resolve import Found, Resolver
from datums.transfer.fetch_retry import Patience
from datums.transfer.fetch_shelf import Shelf
from datums.transfer.fetch_spool import Spool
from datums.transfer.fetch_stores import Lines
from datums.transfer.fetch_wanted import Wanted
from datums.transfer.memory import keep_what_was_freed
from datums.transfer.second import Turns
from datums.transfer.workers import Stopped, Workers, one_by_one

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, TypeAlias

    from datums.transfer.fetch_small import SmallFiles

    Work: TypeAlias = Workers[Any] | SmallFiles

T = TypeVar("T")

_MAX_THREADS: Final = 64
_SPARE_FILES: Final = 48
"""File descriptors that are no connection and no file that is loaded."""
_HELD_BYTES: Final = 32 << 20
_SEGMENTS: Final = 12
"""So many of large files are in memory at once, of all stores."""
_MUCH_BYTES: Final = 256 << 20
_FOR_ONE_FILE: Final = 16
_FORGET: Final = frozenset((Failed.INPUT_CHANGED, Failed.INPUT_DIGEST_MISMATCH))
"""After these another run resolves the links anew: what they led to cannot be had any more."""


class Loading:
    """One run.

    Args:
        lines: the stores; those of the plan with the credentials beside it when None.

    Raises (every method):
        FetchError: the inputs cannot be had.
        OSError: the pod's volumes fail.
    """

    def __init__(self, plan: Plan, paths: Paths, progress: Progress, lines: Lines | None = None) -> None:
        self._plan = plan
        self._files_limit = _file_limit()
        self._paths = paths
        self._progress = progress
        self._lines = lines or Lines(plan.stores, paths.plan.parent)
        self._database = paths.state / "fetch.db"
        links = [[source.link for source in declared.sources] for declared in plan.inputs]
        self._spool = Spool(self._database, _digest(plan), links)
        self._names = [declared.name for declared in plan.inputs]
        self._turns = Turns("datums.transfer.unpack")
        self._stopped = Stopped()
        self._small: dict[str, SmallFiles] = {}

    def run(self) -> Resolved:
        """Loads everything, and writes `inputs.json` and the manifest of the inputs."""
        return self._guarded(self._run)

    def load(self, check: Callable[[Iterator[Wanted]], None]) -> list[Pinned]:
        """Loads everything, and writes down nothing of it.

        Args:
            check: called with the files of all inputs before any is loaded; its exceptions pass through.
        """
        return self._guarded(lambda: self._load_only(check))

    def _guarded(self, work: Callable[[], T]) -> T:
        gc.freeze()  # what the modules hold stays
        try:
            return work()
        except FetchError as error:
            if error.reason in _FORGET:
                discard(self._database)
                self._clear()
            raise
        finally:
            self._stopped.set()
            self._turns.close()
            self._spool.close()

    def _load_only(self, check: Callable[[Iterator[Wanted]], None]) -> list[Pinned]:
        self._resolve(lambda store, files: None)
        check(wanted for _, files in self._files() for wanted in files)
        self._load()
        sums = [[Summing() for _ in declared.sources] for declared in self._plan.inputs]
        self._sum(sums)
        return [pinned for number, of in enumerate(sums) for pinned in self._pin(number, of)]

    def _resolve(self, listed: Callable[[str, Sequence[Wanted]], None]) -> None:
        if not self._spool.is_resolved:
            self._clear()
            found = Found(self._turns.begin, listed)
            Resolver(self._plan, self._lines, self._spool, self._progress.flights, found).resolve()
        self._progress.total_files, self._progress.total_bytes = self._spool.totals()
        if self._progress.total_bytes > _MUCH_BYTES:
            keep_what_was_freed()

    def _clear(self) -> None:
        """Removes what was loaded of what the links led to once."""
        for name in self._names:
            base = self._paths.inputs / name
            for left in list(base.iterdir()) if base.is_dir() else ():
                import shutil  # noqa: PLC0415  takes long to import, and is next to never needed

                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

    def _listed(self, store: str, files: Sequence[Wanted]) -> None:
        self._stopped.check()
        with suppress(RuntimeError):  # there may be no more threads: they are loaded later all the same
            self._small_of(store).offer(files)

    def _sum(self, sums: list[list[Summing]], least: int = 1) -> None:
        for number, of in enumerate(sums):
            for position, summing in enumerate(of if len(of) >= least else []):
                for path, size, sha256 in self._spool.of_link(number, position):
                    summing.add(path, size, sha256)

    def _run(self) -> Resolved:
        plan, spool = self._plan, self._spool
        self._resolve(self._listed)
        self._load()
        sums = [[Summing() for _ in declared.sources] for declared in plan.inputs]
        passing = ((declared, self._summed(files, of)) for (declared, files), of in zip(self._files(), sums, strict=True))
        path = self._paths.state / "inputs-manifest"
        with path.open("w+b") as file:
            with long_document(self._paths.config, "inputs") as write:
                summary = fetch_manifest.write(plan, record(passing, self._uri, write), file)
            self._sum(sums, least=2)
            pinned = [pinned for number, of in enumerate(sums) for pinned in self._pin(number, of)]
            manifest = self._save_manifest(file, summary.sha256)
        path.unlink()
        reasons = [not_reproducible(declared.name, source) for declared in plan.inputs for source in declared.sources]
        files, size = spool.totals()
        return Resolved(
            files=files, bytes=size, manifest=manifest, pinned=pinned, not_reproducible=[reason for reason in reasons if reason]
        )

    def _pin(self, number: int, sums: list[Summing]) -> list[Pinned]:
        declared = self._plan.inputs[number]
        return [pin(declared.name, source, summing) for source, summing in zip(declared.sources, sums, strict=True)]

    def _summed(self, files: Iterator[Wanted], sums: list[Summing]) -> Iterator[Wanted]:
        """The files of an input, counted as they pass where they are all of one link."""
        for wanted in files:
            if len(sums) == 1:
                sums[0].add(wanted.path, wanted.size, wanted.sha256)
            yield wanted

    def _load(self) -> None:
        stores = self._spool.stores()
        self._stores = max(1, len(stores))
        shelf = Shelf(self._paths.inputs, self._names, self._spool)
        shelf.open()
        self._turns.begin(self._spool.count_packed())
        stopped = self._stopped
        try:
            with ExitStack() as after:
                try:
                    works: list[Work] = []
                    for (store, files), share in self._shares(stores):
                        works += self._begin(store, files, share, shelf, after)
                    for work in works:
                        work.join()
                    stopped.check()
                finally:
                    stopped.set()
        finally:
            self._turns.close()
            shelf.close()
        if left := self._spool.count_left():
            raise RuntimeError(f"{left} files of the inputs were forgotten: this is a defect of fetch")

    @property
    def _spare_files(self) -> int:
        """File descriptors that are left for connections and the files that are loaded."""
        return (self._files_limit - _SPARE_FILES) // 2

    def _shares(self, stores: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], int]]:
        """How many threads work on each store: as many as it bears, fewer where that would be too many in all."""
        asked = [min(self._lines.line(store).concurrency, files) for store, files in stores]
        most = min(_MAX_THREADS, self._spare_files // 3)
        scale = min(1.0, most / max(1, sum(asked)))
        return zip(stores, (max(1, int(one * scale)) for one in asked), strict=True)

    def _begin(self, store: str, files: int, threads: int, shelf: Shelf, after: ExitStack) -> list[Work]:
        line, names, progress, stopped = self._lines.line(store), self._names, self._progress, self._stopped
        if not store:
            from datums.transfer.fetch_web import WebLoader  # noqa: PLC0415  most executions have no use for an HTTP client

            optional = [declared.optional for declared in self._plan.inputs]
            loader = WebLoader(line, shelf, names, optional, progress, stopped)
            take = one_by_one(self._spool.alone("", -2, 1 << 62))
            web: Workers[Any] = Workers(take, loader.work, loader.uri, threads=threads, flights=progress.flights, stopped=stopped)
            return [web]
        from datums.transfer.download import Downloader  # noqa: PLC0415
        from datums.transfer.fetch_arrivals import Arrivals  # noqa: PLC0415
        from datums.transfer.fetch_packs import span_bytes  # noqa: PLC0415
        from datums.transfer.fetch_small import SMALL_BYTES  # noqa: PLC0415
        from datums.transfer.fetch_unpack import Unpacking  # noqa: PLC0415
        from datums.transfer.fetch_work import Queue  # noqa: PLC0415

        streams = max(threads, min(line.concurrency, _FOR_ONE_FILE, self._spare_files))  # a large file is the work of several
        blocks = max(1, min(streams, _SEGMENTS // self._stores))
        queue = Queue(self._spool, shelf, store, blocks, span_bytes(streams * self._stores), stopped)
        after.callback(queue.discard)
        arrivals = Arrivals(line, shelf, names, progress)
        unpacking = Unpacking(arrivals, shelf, self._turns)
        downloader = Downloader(line, shelf, arrivals, unpacking, progress, stopped)
        workers: Workers[Any] = Workers(
            queue.take,
            downloader.work,
            downloader.uri,
            threads=streams if self._spool.is_more_than_small(store, SMALL_BYTES) else 0,
            flights=progress.flights,
            stopped=stopped,
        )
        small = self._small_of(store)
        small.go(self._spool.small(store, SMALL_BYTES, certain=True), arrivals)
        return [workers, small]

    def _small_of(self, store: str) -> SmallFiles:
        """What loads the small files of a store; begins when it is first asked for."""
        from datums.transfer.fetch_small import SmallFiles  # noqa: PLC0415

        if store not in self._small:
            line, stores = self._lines.line(store), len(self._plan.stores)
            at_once = min(line.concurrency, max(1, self._spare_files // stores))
            self._small[store] = SmallFiles(line, self._progress, self._stopped, at_once=at_once, held=_HELD_BYTES // stores)
        return self._small[store]

    def _files(self) -> Iterator[tuple[InputPlan, Iterator[Wanted]]]:
        for number, declared in enumerate(self._plan.inputs):
            yield declared, self._spool.of_input(number)

    def _save_manifest(self, file: BinaryIO, sha256: str) -> ManifestRef:
        line = self._lines.line(self._plan.output.store)
        with self._progress.flights.flight("the list of the loaded inputs") as flight:
            try:
                return Patience(line, flight).call(lambda: fetch_manifest.save(self._plan, file, sha256, line.store))
            except StoreError as error:
                raise FetchError(failed_reason(error), f"the list of the loaded inputs cannot be saved: {error}") from None

    def _uri(self, wanted: Wanted) -> str:
        return uri(self._plan.stores[wanted.store], wanted.key) if wanted.store else wanted.key


def _digest(plan: Plan) -> str:
    """What tells two plans' inputs apart."""
    return hashlib.sha256(msgspec.json.encode((plan.execution, plan.inputs, plan.stores))).hexdigest()


def _file_limit() -> int:
    """How many files the process may have open, after asking for as many as it may get.

    Raises:
        FetchError: too few for the drivers of stores, which end badly without files.
    """
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft not in (hard, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):
            limit = soft
    if limit < _SPARE_FILES + 6:
        raise FetchError(
            Failed.EVICTED,
            f"fetch may have {limit} open files only, and needs {_SPARE_FILES + 6}: raise the limit (ulimit -n) on the node",
        )
    return limit
