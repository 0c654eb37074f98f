"""From the sources of the plan to the files they mean, in the spool: lists buckets and reads manifests, loads nothing yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Final, NamedTuple, TypeVar

from datums.api.reasons import Failed
from datums.model import globs
from datums.model.manifest import ManifestError, Reader
from datums.model.placement import place, place_output
from datums.model.plan import DatumSource, InputPlan, ObjectsSource, Plan, SetSource, Source, WebSource
from datums.stores.errors import NotFound, StoreError
from datums.transfer import saved
from datums.transfer.ahead import ahead
from datums.transfer.fetch_access import check_own, check_readable, may_match_readable, uri
from datums.transfer.fetch_errors import FetchError, from_store
from datums.transfer.fetch_retry import Patience
from datums.transfer.fetch_sources import is_selected, of_datum, of_entry, of_url, place_of
from datums.transfer.fetch_spool import Clash, Spool
from datums.transfer.fetch_stores import Lines
from datums.transfer.fetch_wanted import Wanted, check_name, collision, last_of_each_path, named, nesting, parents
from datums.transfer.flights import Flight, Flights
from datums.transfer.saved import StoredFile

T = TypeVar("T")

_BATCH: Final = 1000
_LONG_SECONDS: Final = 0.025
"""When it takes so long until a page of a list has come, there is time for files meanwhile; else there is only one interpreter."""


class Found(NamedTuple):
    """Who is told of what is found while there is more to come."""

    packed: Callable[[int], None]
    """Takes how many files lie in packs."""
    listed: Callable[[str, Sequence[Wanted]], None]
    """Takes a store's name and files that are listed there."""


class Resolver:
    """Resolves the inputs of one plan.

    Args:
        found: what may be begun with meanwhile.
    """

    def __init__(self, plan: Plan, lines: Lines, spool: Spool, flights: Flights, found: Found) -> None:
        self._plan = plan
        self._lines = lines
        self._spool = spool
        self._flights = flights
        self._furthest = 0
        self._packed = 0
        self._waited = 0.0
        """For the last batch of a list; seconds."""
        self._found = found

    def resolve(self) -> None:
        """Finds out what all inputs lead to.

        Raises:
            FetchError: a link leads to nothing, may not be read, or its files cannot lie beside each other.
        """
        for number, plan in enumerate(self._plan.inputs):
            for position, source in enumerate(plan.sources):
                self._source(number, position, plan, source)
            if not (plan.filename and self._renamed(number, plan)):
                self._check_names(number, plan)
            if found := self._spool.nested(number):
                raise nesting(plan.name, *found)
        self._spool.resolved()

    def _source(self, number: int, position: int, plan: InputPlan, source: Source) -> None:
        store = "" if isinstance(source, WebSource) else source.store
        where = place_of(plan, source)
        with self._flights.flight(where) as flight:
            patience = Patience(self._lines.line(store), flight)
            self._furthest = 0
            try:
                found = patience.call(lambda: self._try(number, position, plan, source, flight))
            except NotFound:
                found = False
            except Clash as clash:
                raise collision(plan.name, clash.one, clash.other) from None
            except StoreError as error:
                raise from_store(error, plan.name, source.link) from None
        if not found and not plan.optional:
            raise FetchError(Failed.INPUT_NOT_FOUND, f"{where} leads to nothing: {self._looked_for(source)}")

    def _try(self, number: int, position: int, plan: InputPlan, source: Source, flight: Flight) -> bool:
        """Adds what the source leads to; whether that is anything."""
        found = False
        rename = bool(plan.filename)

        def noted(files: Iterable[Wanted]) -> Iterator[Wanted]:
            nonlocal found
            last = ""
            for wanted in files:
                found = True
                if wanted.offset:
                    self._packed += 1
                    if not self._packed % _BATCH:
                        self._found.packed(self._packed)
                if not rename:
                    check_name(plan.name, wanted.path, partial(named, wanted))
                    directory = wanted.path.rpartition("/")[0]
                    if directory != last:
                        last = directory
                        self._spool.add_directory(number, directory)
                yield wanted

        def directory(path: str) -> None:
            nonlocal found
            found = True
            check_name(plan.name, path, lambda: f"a directory of {source.link}")
            self._spool.add_directory(number, path, empty=True)

        with self._spool.link(number, position) as add:
            match source:
                case DatumSource():
                    self._own(plan, source, source.store, source.key)
                    add(noted([of_datum(plan, source)]))
                case SetSource():
                    add(noted(self._set(plan, source, flight, directory)))
                case ObjectsSource():
                    add(noted(self._objects(plan, source, flight)))
                case WebSource():
                    add(noted([of_url(plan, source)]))
        return found

    def _own(self, plan: InputPlan, source: Source, store: str, key: str) -> None:
        check_own(self._plan.stores[store], self._plan.execution.namespace, key, place_of(plan, source))

    def _set(self, plan: InputPlan, source: SetSource, flight: Flight, directory: Callable[[str], None]) -> Iterator[Wanted]:
        self._own(plan, source, source.store, source.manifest_key)
        store = self._lines.store(source.store)
        manifest = f"{place_of(plan, source)}: {store.uri(source.manifest_key)}"
        lies: tuple[str, str] | None = None
        try:
            reader = Reader(chain.from_iterable(self._batches(source, flight, lambda: store.stream(source.manifest_key), 4)))
            for entry in last_of_each_path(entry for entry in reader if is_selected(source, entry)):
                path = place_output(entry.path.rstrip("/"), plan.keep_directories)
                if not entry.is_directory:
                    wanted = of_entry(source, entry, path)
                    if lies != (lies := (wanted.store, wanted.key)):  # of a pack's files only the first
                        self._check_store(plan, source, wanted)
                    yield wanted
                elif plan.keep_directories != "None":
                    directory(path)
        except ManifestError as error:
            raise FetchError(Failed.INPUT_DIGEST_MISMATCH, f"{manifest}: {error}") from None
        except NotFound:
            raise FetchError(
                Failed.INPUT_NOT_FOUND,
                f"{manifest}, which lists what was saved, is gone: restore it from a backup or an earlier object version",
            ) from None
        if reader.summary is None or reader.summary.sha256 != source.manifest_sha256:
            raise FetchError(
                Failed.INPUT_DIGEST_MISMATCH,
                f"{manifest} has other bytes than its name says: it was changed or damaged",
            )

    def _check_store(self, plan: InputPlan, source: SetSource, wanted: Wanted) -> None:
        if wanted.store not in self._plan.stores:
            raise FetchError(
                Failed.STORE_NOT_READY,
                f"{place_of(plan, source)}: {wanted.path!r} lies in DataStore {wanted.store}, which this execution may not use",
            )
        self._own(plan, source, wanted.store, wanted.key)

    def _objects(self, plan: InputPlan, source: ObjectsSource, flight: Flight) -> Iterator[Wanted]:
        access, namespace = self._plan.stores[source.store], self._plan.execution.namespace
        where = place_of(plan, source)
        store = self._lines.store(source.store)
        if not globs.is_glob(source.pattern):
            check_readable(access, namespace, source.pattern, where)
            if not source.pattern.endswith("/"):  # a prefix is no object: `_looked_for` says what to write
                found = self._batches(source, flight, lambda: iter([saved.find(store, source.pattern)]), 1)
                yield from (self._object(plan, source, one) for of in found for one in of)
            return
        fixed = globs.fixed_prefix(source.pattern)
        if not may_match_readable(access, namespace, fixed):
            check_readable(access, namespace, fixed, where)
        for batch in self._batches(source, flight, lambda: saved.matching(store, source.pattern), _BATCH):
            files = []
            for one in batch:
                check_readable(access, namespace, one.info.key, where)
                if not (one.info.key.endswith("/") and one.info.size == 0):  # a directory marker, as consoles make them
                    files.append(self._object(plan, source, one))
            if len(batch) == _BATCH and self._waited > _LONG_SECONDS:
                self._found.listed(source.store, [wanted for wanted in files if not wanted.offset])
            yield from files

    def _object(self, plan: InputPlan, source: ObjectsSource, found: StoredFile) -> Wanted:
        info = found.info
        path = place(source.pattern, info.key, plan.keep_directories)
        if found.packed is None:
            return Wanted(
                path=path, store=source.store, key=info.key, size=info.size, etag=info.etag, version=info.version, link=source.link
            )
        wanted = of_entry(source, found.packed, path)
        wanted.store = source.store
        self._own(plan, source, wanted.store, wanted.key)
        return wanted

    def _batches(
        self, source: SetSource | ObjectsSource, flight: Flight, begin: Callable[[], Iterator[T]], size: int
    ) -> Iterator[list[T]]:
        """What the iterator gives, each batch in the place of one request that travels while the batch before is noted."""
        pace = self._lines.line(source.store).pace

        def batches() -> Iterator[list[T]]:
            items: Iterator[T] | None = None
            batch: list[T] = []
            while items is None or len(batch) == size:
                with pace.slot():
                    asked = time.monotonic()
                    items = begin() if items is None else items
                    batch = list(islice(items, size))
                    self._waited = time.monotonic() - asked
                pace.went_well()
                yield batch

        got = 0
        for batch in ahead(batches()):
            got += len(batch)
            if got > self._furthest:  # a listing that breaks off at the same place again and again does not move
                self._furthest = got
                flight.moved()
            yield batch

    def _renamed(self, number: int, plan: InputPlan) -> bool:
        if not self._spool.rename_single(number, plan.filename):
            return False
        check_name(plan.name, plan.filename, lambda: f"filename {plan.filename!r}")
        with self._spool.transaction():
            for directory in parents(plan.filename):
                self._spool.add_directory(number, directory)
        return True

    def _check_names(self, number: int, plan: InputPlan) -> None:
        """Where `filename` has put the checks off, and does not apply."""
        if not plan.filename:
            return
        for wanted in self._spool.of_input(number):
            check_name(plan.name, wanted.path, partial(named, wanted))
            with self._spool.transaction():
                self._spool.add_directory(number, wanted.path.rpartition("/")[0])

    def _looked_for(self, source: Source) -> str:
        match source:
            case ObjectsSource():
                access = self._plan.stores[source.store]
                looked = f"DataStore {source.store} has no object {uri(access, source.pattern)}"
                if source.pattern.endswith("/"):
                    return f"{looked}; for all objects below it write {source.link}**"
                return f"{looked}; correct the link, or set optional"
            case SetSource():
                what = f"the path {source.path!r}" if source.path else f"the datum {source.datum}" if source.datum else "a file"
                where = f"{source.manifest_key} in DataStore {source.store}"
                return f"its set ({where}) does not have {what}; correct the link, or set optional"
        return "correct it, or set optional"
