"""What is written down of the inputs once they are loaded: pins, `inputs.json` for user code, the manifest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from datums.api.reasons import Failed
from datums.model import links, podpaths
from datums.model.commit import Pinned
from datums.model.links import NO_PIN, Pin
from datums.model.manifest import Entry, Location
from datums.model.plan import InputPlan, Source, WebSource
from datums.transfer.config_files import is_plain, to_json
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_wanted import Wanted


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


def inputs_document(
    inputs: Iterable[tuple[InputPlan, Iterable[Wanted]]], uri: Callable[[Wanted], str]
) -> Iterator[bytes | dict[str, Any]]:
    """`/valohai/config/inputs.json`, in pieces.

    Args:
        inputs: each with the files that it has.
        uri: where the bytes of a file are, as a link of its provider.
    """
    begin = b"{"
    for plan, files in inputs:
        yield begin + to_json(plan.name) + b': {"input_id": ' + to_json(plan.input_id) + b', "files": ['
        first = True
        for wanted in files:
            if not first:
                yield b","
            first = False
            file = _file(plan, wanted, uri(wanted))
            text = to_json(file)
            yield text if not file["metadata"] and is_plain(text) else file  # of its numbers none is a float then
        yield b"]}"
        begin = b","
    yield b"{}" if begin == b"{" else b"}"


def entries(inputs: Iterable[tuple[InputPlan, Iterable[Wanted]]]) -> Iterator[Entry]:
    """The entries of the inputs manifest, sorted: paths are `<input>/<path below its directory>`.

    Args:
        inputs: in any order, each with the files that it has, sorted by path.
    """
    for plan, files in sorted(inputs, key=lambda pair: f"{pair[0].name}/"):
        for wanted in files:
            yield Entry(
                path=f"{plan.name}/{wanted.path}",
                size=wanted.size,
                sha256=wanted.sha256,
                datum=wanted.datum,
                location=Location(store=wanted.store, key=wanted.key, offset=wanted.offset),
                link=wanted.link,
                metadata=_metadata(wanted),
            )


def _metadata(wanted: Wanted) -> dict[str, Any]:
    if wanted.datum:
        return wanted.metadata
    version = {"etag": wanted.etag, "version": wanted.version}
    return wanted.metadata | {name: value for name, value in version.items() if value}


def _file(plan: InputPlan, wanted: Wanted, storage_uri: str) -> dict[str, Any]:
    file: dict[str, Any] = {
        "name": wanted.path,
        "path": f"{podpaths.INPUTS}/{plan.name}/{wanted.path}",
        "uri": f"datum://{wanted.datum}" if wanted.datum else wanted.link,
        "storage_uri": storage_uri,
        "size": wanted.size,
        "checksums": {"sha256": wanted.sha256},
        "metadata": [wanted.metadata] if wanted.metadata and wanted.datum else [],
        "input_id": plan.input_id,
        "download_intent": "always",
    }
    if wanted.datum:
        file["datum_id"] = wanted.datum
    if wanted.version and not wanted.datum:
        file["version"] = wanted.version
    if wanted.etag and not wanted.datum:
        file["etag"] = wanted.etag
    return file
