"""What is written down of the inputs once they are loaded: pins, `inputs.json` for user code, the manifest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from datums.api.reasons import Failed
from datums.model import links, podpaths
from datums.model.commit import Pinned
from datums.model.links import NO_PIN, Pin
from datums.model.manifest import Entry, Location
from datums.model.plan import InputPlan, Source, WebSource
from datums.transfer.config_files import is_plain, to_json, to_yaml
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_wanted import Wanted

_AT_ONCE: Final = 200
"""So many files are written down together: with their metadata they may take some MiB."""


class Summing:
    """The files of a link, as they pass sorted by path: how many there are, and their digest as a set."""

    def __init__(self) -> None:
        self.files = 0
        self.bytes = 0
        self.last = ""
        self._tree = links.TreeDigest()

    def add(self, path: str, size: int, sha256: str) -> None:
        """Counts one."""
        self.files += 1
        self.bytes += size
        self.last = sha256
        self._tree.add(path, sha256)

    @property
    def tree(self) -> str:
        """The digest of the set."""
        return self._tree.hexdigest()


def pin(name: str, source: Source, summing: Summing) -> Pinned:
    """A link in the form that names these bytes for good.

    Args:
        name: the input's.
        summing: what the link has led to.

    Raises:
        FetchError: the link was pinned, to other bytes.
    """
    tree = Pin(tree_sha256=summing.tree)
    actual = Pin(sha256=summing.last) if summing.files == 1 else tree
    promised = source.pin
    if promised not in (NO_PIN, actual if promised.sha256 else tree):
        raise FetchError(
            Failed.INPUT_CHANGED,
            f"input {name!r}, link {shown(source)}: it is pinned to {promised.sha256 or promised.tree_sha256}, but what it leads "
            f"to is now {actual.sha256 or actual.tree_sha256} ({summing.files} files): take the pin off to use what is there now",
        )
    # A datum never changes: its link is pinned as it is.
    immutable = source.link.startswith("datum://")
    return Pinned(
        name=name,
        link=source.link,
        pinned=source.link if immutable else links.pinned(source.link, promised if promised != NO_PIN else actual),
        files=summing.files,
        bytes=summing.bytes,
    )


def not_reproducible(name: str, source: Source) -> str:
    """Why a rerun may get other bytes, or nothing."""
    if isinstance(source, WebSource) and source.pin == NO_PIN:
        return f"input {name}: {shown(source)} is not versioned by its server"
    return ""


def shown(source: Source) -> str:
    """A source's link for messages: a query of a public URL can hold a secret."""
    return source.link.partition("?")[0] if isinstance(source, WebSource) else source.link


def record(
    inputs: Iterable[tuple[InputPlan, Iterable[Wanted]]], uri: Callable[[Wanted], str], write: Callable[[bytes, bytes], None]
) -> Iterator[Entry]:
    """The entries of the inputs manifest, sorted: paths are `<input>/<path below its directory>`. What has been yielded is written
    to `/valohai/config/inputs.json` as well, and all of that when the last has been.

    Args:
        inputs: in any order, each with the files that it has, sorted by path.
        uri: where the bytes of a file are, as a link of its provider.
        write: takes the next piece of `inputs.json`, as JSON and as YAML.
    """
    begin = b"{"
    for plan, files in sorted(inputs, key=lambda pair: f"{pair[0].name}/"):
        head = begin + to_json(plan.name) + b': {"input_id": ' + to_json(plan.input_id) + b', "files": ['
        write(head, head)
        comma, begin, rest = b"", b",", iter(files)
        while batch := list(islice(rest, _AT_ONCE)):
            shown = [_file(plan, wanted, uri(wanted)) for wanted in batch]
            text = to_json(shown)[1:-1]
            is_yaml = is_plain(text) and not any(file.metadata for file in shown)  # of the numbers none is a float then
            write(comma + text, comma + (text if is_yaml else b",".join(map(to_yaml, shown))))
            comma = b","
            for wanted in batch:
                yield Entry(
                    path=f"{plan.name}/{wanted.path}",
                    size=wanted.size,
                    sha256=wanted.sha256,
                    datum=wanted.datum,
                    location=Location(wanted.store, wanted.key, wanted.offset),
                    link=wanted.link,
                    metadata=wanted.metadata if wanted.datum else wanted.metadata | _version(wanted),
                )
        write(b"]}", b"]}")
    end = b"{}" if begin == b"{" else b"}"
    write(end, end)


class _File(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A file in `inputs.json`."""

    name: str
    path: str
    uri: str
    storage_uri: str
    size: int
    checksums: dict[str, str]
    metadata: list[dict[str, Any]]
    input_id: str
    download_intent: str
    datum_id: str = ""
    version: str = ""
    etag: str = ""


def _file(plan: InputPlan, wanted: Wanted, storage_uri: str) -> _File:
    datum = wanted.datum
    return _File(
        name=wanted.path,
        path=f"{podpaths.INPUTS}/{plan.name}/{wanted.path}",
        uri=f"datum://{datum}" if datum else wanted.link,
        storage_uri=storage_uri,
        size=wanted.size,
        checksums={"sha256": wanted.sha256},
        metadata=[wanted.metadata] if datum and wanted.metadata else [],
        input_id=plan.input_id,
        download_intent="always",
        datum_id=datum,
        version="" if datum else wanted.version,
        etag="" if datum else wanted.etag,
    )


def _version(wanted: Wanted) -> dict[str, str]:
    version = {}
    if wanted.etag:
        version["etag"] = wanted.etag
    if wanted.version:
        version["version"] = wanted.version
    return version
