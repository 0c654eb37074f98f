"""What a source of the plan means, file by file. Pure."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from datums.api.reasons import Failed
from datums.model import globs
from datums.model.manifest import Entry, ManifestError
from datums.model.placement import is_safe, place, place_output
from datums.model.plan import DatumSource, InputPlan, ObjectsSource, SetSource, Source, WebSource
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_wanted import Wanted


def place_of(plan: InputPlan, source: Source) -> str:
    """Names an input and a link, for messages; a query of a public URL can hold a secret."""
    link = source.link.partition("?")[0] if isinstance(source, WebSource) else source.link
    return f"input {plan.name!r}, link {link}"


def is_selected(source: SetSource, entry: Entry) -> bool:
    """Whether a source of a set takes this entry of its manifest."""
    if source.datum:
        return entry.datum == source.datum
    if source.path:
        return not entry.is_directory and (entry.path == source.path or globs.matches(source.path, entry.path))
    return True


def of_entry(source: SetSource | ObjectsSource, entry: Entry, path: str) -> Wanted:
    """A file that a manifest names.

    Raises:
        ManifestError: it names none.
    """
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


def of_datum(plan: InputPlan, source: DatumSource) -> Wanted:
    """The file of a datum."""
    return Wanted(
        path=place_output(source.path, plan.keep_directories),
        store=source.store,
        key=source.key,
        offset=source.offset,
        size=source.size,
        sha256=source.sha256,
        datum=source.datum,
        link=source.link,
    )


def of_url(plan: InputPlan, source: WebSource) -> Wanted:
    """A public file.

    Raises:
        FetchError: its URL gives it no name.
    """
    key = unquote(urlsplit(source.url).path).lstrip("/")
    path = plan.filename or place(key, key, plan.keep_directories)
    if not is_safe(path):
        raise FetchError(
            Failed.INVALID_SPEC,
            f"{place_of(plan, source)}: the URL's path names no file: set filename of the input",
        )
    return Wanted(path=path, store="", key=source.url, link=source.link)
