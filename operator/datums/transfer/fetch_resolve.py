"""From the sources of the plan to the files they mean: lists buckets and reads manifests, loads nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

from datums.api.reasons import Failed
from datums.model import globs
from datums.model.manifest import Entry, ManifestError, Reader
from datums.model.placement import is_safe, place, place_output
from datums.model.plan import DatumSource, InputPlan, ObjectsSource, Plan, SetSource, Source, StoreAccess, WebSource
from datums.stores.errors import NotFound, StoreError
from datums.stores.protocol import ObjectInfo, Store
from datums.transfer.fetch_access import check_own, check_readable, may_match_readable
from datums.transfer.fetch_errors import FetchError, from_store
from datums.transfer.fetch_progress import Progress
from datums.transfer.fetch_retry import Patience
from datums.transfer.fetch_wanted import InputFiles, LinkFiles, Wanted, gather


class Resolver:
    """Resolves the inputs of one plan.

    Args:
        open_store: a store by its name.
    """

    def __init__(self, plan: Plan, open_store: Callable[[str], Store], progress: Progress) -> None:
        self._plan = plan
        self._open = open_store
        self._progress = progress

    def resolve(self, plan: InputPlan) -> InputFiles:
        """What an input leads to.

        Raises:
            FetchError: a link leads to nothing, may not be read, or its files cannot lie beside each other.
        """
        return gather(plan, [self._source(plan, source) for source in plan.sources])

    def _source(self, plan: InputPlan, source: Source) -> LinkFiles:
        try:
            found = Patience(self._progress).call(lambda: self._try(plan, source))
        except NotFound:
            found = LinkFiles(link=source.link, pin=source.pin)
        except StoreError as error:
            raise from_store(error, plan.name, source.link) from None
        if not found.files and not found.directories and not plan.optional:
            raise FetchError(Failed.INPUT_NOT_FOUND, f"{_where(plan, source)} leads to nothing: {self._looked_for(source)}")
        return found

    def _try(self, plan: InputPlan, source: Source) -> LinkFiles:
        found = LinkFiles(link=source.link, pin=source.pin)
        match source:
            case DatumSource():
                self._own(plan, source, source.store, source.key)
                found.files = [_datum(plan, source)]
            case SetSource():
                self._set(plan, source, found)
            case ObjectsSource():
                found.files = list(self._objects(plan, source))
            case WebSource():
                found.files = [_web(plan, source)]
                found.reproducible = bool(source.pin.sha256 or source.pin.tree_sha256)
        return found

    def _own(self, plan: InputPlan, source: Source, store: str, key: str) -> None:
        check_own(self._plan.stores[store], self._plan.execution.namespace, key, _where(plan, source))

    def _set(self, plan: InputPlan, source: SetSource, found: LinkFiles) -> None:
        self._own(plan, source, source.store, source.manifest_key)
        store = self._open(source.store)
        manifest = f"{_where(plan, source)}: {store.uri(source.manifest_key)}"
        files: dict[str, Wanted] = {}
        try:
            reader = Reader(store.stream(source.manifest_key))
            for entry in reader:
                if not _selected(source, entry):
                    continue
                path = place_output(entry.path.rstrip("/"), plan.keep_directories)
                if entry.is_directory:
                    if plan.keep_directories != "None":
                        found.directories.append(path)
                else:
                    # A path that was saved again comes later: as on a disk, the last one is what the path means.
                    files[entry.path] = _of_set(source, entry, path)
        except ManifestError as error:
            raise FetchError(Failed.INPUT_DIGEST_MISMATCH, f"{manifest}: {error}") from None
        if reader.summary is None or reader.summary.sha256 != source.manifest_sha256:
            raise FetchError(
                Failed.INPUT_DIGEST_MISMATCH,
                f"{manifest} has other bytes than its name says: it was changed or damaged",
            )
        for wanted in files.values():
            if wanted.store not in self._plan.stores:
                raise FetchError(
                    Failed.STORE_NOT_READY,
                    f"{_where(plan, source)}: {wanted.path!r} lies in DataStore {wanted.store}, which this execution may not use",
                )
            self._own(plan, source, wanted.store, wanted.key)
        found.files = list(files.values())

    def _objects(self, plan: InputPlan, source: ObjectsSource) -> Iterator[Wanted]:
        access, namespace = self._plan.stores[source.store], self._plan.execution.namespace
        where = _where(plan, source)
        store = self._open(source.store)
        if not globs.is_glob(source.pattern):
            check_readable(access, namespace, source.pattern, where)
            if source.pattern.endswith("/"):
                return  # a prefix is no object: `_looked_for` says what to write
            info = store.head(source.pattern)
            yield self._object(plan, source, info._replace(key=source.pattern))
            return
        fixed = globs.fixed_prefix(source.pattern)
        if not may_match_readable(access, namespace, fixed):
            check_readable(access, namespace, fixed, where)
        seen = set[str]()
        for info in store.list(fixed):
            if info.key in seen or not globs.matches(source.pattern, info.key):
                continue
            seen.add(info.key)
            check_readable(access, namespace, info.key, where)
            if info.key.endswith("/") and info.size == 0:
                continue  # a directory marker, as consoles make them
            yield self._object(plan, source, info)

    def _object(self, plan: InputPlan, source: ObjectsSource, info: ObjectInfo) -> Wanted:
        path = place(source.pattern, info.key, plan.keep_directories)
        return Wanted(path=path, store=source.store, key=info.key, size=info.size, etag=info.etag, link=source.link)

    def _looked_for(self, source: Source) -> str:
        match source:
            case ObjectsSource():
                access: StoreAccess = self._plan.stores[source.store]
                looked = f"DataStore {source.store} has no object s3://{access.bucket}/{source.pattern}"
                if source.pattern.endswith("/"):
                    return f"{looked}; for all objects below it write {source.link}**"
                return f"{looked}; correct the link, or set optional"
            case SetSource():
                what = f"the path {source.path!r}" if source.path else f"the datum {source.datum}" if source.datum else "a file"
                where = f"{source.manifest_key} in DataStore {source.store}"
                return f"its set ({where}) does not have {what}; correct the link, or set optional"
        return "correct it, or set optional"


def _where(plan: InputPlan, source: Source) -> str:
    return f"input {plan.name!r}, link {source.link}"


def _selected(source: SetSource, entry: Entry) -> bool:
    if source.datum:
        return entry.datum == source.datum
    if source.path:
        return not entry.is_directory and (entry.path == source.path or globs.matches(source.path, entry.path))
    return True


def _of_set(source: SetSource, entry: Entry, path: str) -> Wanted:
    location = entry.location
    if location is None:
        raise ManifestError(f"the entry {entry.path!r} has no location")
    return Wanted(
        path=path,
        store=location.store,
        key=location.key,
        offset=location.offset,
        size=entry.size,
        sha256=entry.sha256,
        datum=entry.datum,
        link=source.link,
        metadata=entry.metadata,
    )


def _datum(plan: InputPlan, source: DatumSource) -> Wanted:
    return Wanted(
        path=place_output(source.path, plan.keep_directories),
        store=source.store,
        key=source.key,
        size=source.size,
        sha256=source.sha256,
        datum=source.datum,
        link=source.link,
    )


def _web(plan: InputPlan, source: WebSource) -> Wanted:
    key = unquote(urlsplit(source.url).path).lstrip("/")
    path = plan.filename or place(key, key, plan.keep_directories)
    if not is_safe(path):
        raise FetchError(
            Failed.INVALID_SPEC,
            f"{_where(plan, source).partition('?')[0]}: the URL's path names no file: set filename of the input",
        )
    return Wanted(path=path, store="", key=source.url, link=source.link)
