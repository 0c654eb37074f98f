"""The files that a source leads to, without loading any: for people who look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from datums.api.reasons import Failed
from datums.model import globs
from datums.model.manifest import Entry, ManifestError, Reader
from datums.model.plan import DatumSource, ObjectsSource, Plan, SetSource, Source, WebSource
from datums.stores import errors
from datums.stores.protocol import Store
from datums.stores.retrying import RetryingStore
from datums.transfer import saved, web
from datums.transfer.fetch_access import check_own, check_readable, uri
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_wanted import last_of_each_path


class Seen(NamedTuple):
    """One file."""

    link: str
    """That names this file alone."""
    path: str
    """As it is called there: the key, or the path of a datum."""
    size: int
    """Bytes; -1 where it is not told."""
    modified: float = 0.0
    """Seconds since the epoch; 0 where it is not told."""
    sha256: str = ""
    """Empty where it is not known."""
    datum: str = ""


def look(plan: Plan, source: Source, opened: Callable[[str], Store]) -> Iterator[Seen]:
    """The files, as far as the project may read them.

    Args:
        plan: has the stores, and for whom it is looked.
        opened: a store by its name, which tries again by itself.

    Raises:
        FetchError: they may not be read, or their manifest is not what it should be.
        StoreError: the store does not answer, or there is nothing.
    """
    match source:
        case DatumSource(store=store, key=key):
            check_own(plan.stores[store], plan.execution.namespace, key, source.link)
            yield Seen(source.link, source.path, source.size, 0.0, source.sha256, source.datum)
        case SetSource():
            yield from _set(plan, source, opened(source.store))
        case ObjectsSource():
            yield from _objects(plan, source, opened(source.store))
        case WebSource(url=url):
            answer = web.Answer()
            chunks = web.read(url, answer)
            next(chunks, None)
            yield Seen(source.link, url, answer.size, _time(answer.last_modified))


def first_answer(source: Source, opened: Callable[[str], Store]) -> None:
    """Asks the store of a source for something small: a mistake in its address or in the credentials shows at once, where a
    transfer would wait for the store to come back.

    Raises:
        StoreError: it does not answer, or refuses.
    """
    if isinstance(source, WebSource):
        return
    store = RetryingStore(opened(source.store))
    key = (
        source.manifest_key
        if isinstance(source, SetSource)
        else source.pattern
        if isinstance(source, ObjectsSource)
        else source.key
    )
    if globs.is_glob(key):
        next(iter(store.list(globs.fixed_prefix(key))), None)
        return
    with suppress(errors.NotFound):
        store.head(key)


def _set(plan: Plan, source: SetSource, store: Store) -> Iterator[Seen]:
    check_own(plan.stores[source.store], plan.execution.namespace, source.manifest_key, source.link)
    manifest = f"{source.link}: {store.uri(source.manifest_key)}"
    try:
        reader = Reader(store.stream(source.manifest_key))
        for entry in last_of_each_path(entry for entry in reader if not entry.is_directory and _selected(source, entry)):
            yield Seen(f"datum://{entry.datum}", entry.path, entry.size, entry.mtime, entry.sha256, entry.datum)
    except ManifestError as error:
        raise FetchError(Failed.INPUT_DIGEST_MISMATCH, f"{manifest}: {error}") from None
    if reader.summary is None or reader.summary.sha256 != source.manifest_sha256:
        raise FetchError(Failed.INPUT_DIGEST_MISMATCH, f"{manifest} has other bytes than its name says: it was changed or damaged")


def _selected(source: SetSource, entry: Entry) -> bool:
    if source.datum:
        return entry.datum == source.datum
    return not source.path or entry.path == source.path or globs.matches(source.path, entry.path)


def _objects(plan: Plan, source: ObjectsSource, store: Store) -> Iterator[Seen]:
    access, namespace = plan.stores[source.store], plan.execution.namespace
    if globs.is_glob(source.pattern):
        found = saved.matching(store, source.pattern)
    else:
        check_readable(access, namespace, source.pattern, source.link)
        found = iter([saved.find(store, source.pattern)])
    for info, packed in found:
        check_readable(access, namespace, info.key, source.link)
        digest, datum = (packed.sha256, packed.datum) if packed else ("", "")
        yield Seen(uri(access, info.key), info.key, info.size, info.last_modified, digest, datum)


def _time(text: str) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
