"""What is written down of the inputs once they are loaded: pins, `inputs.json` for user code, the manifest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from datums.api.reasons import Failed
from datums.model import links, podpaths
from datums.model.commit import Pinned
from datums.model.links import NO_PIN, Pin
from datums.model.manifest import Entry, Location
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_wanted import InputFiles, LinkFiles, Wanted


def pin(name: str, found: LinkFiles) -> Pinned:
    """A link in the form that names these bytes for good.

    Args:
        name: the input's.

    Raises:
        FetchError: the link was pinned, to other bytes.
    """
    files = [wanted for wanted in found.files if not wanted.absent]
    promised, actual = found.pin, _pin_of(files)
    if promised != NO_PIN and promised != (actual if promised.sha256 else _tree_pin(files)):
        raise FetchError(
            Failed.INPUT_CHANGED,
            f"input {name!r}, link {_shown(found)}: it is pinned to {promised.sha256 or promised.tree_sha256}, but what it leads "
            f"to is now {actual.sha256 or actual.tree_sha256} ({len(files)} files): take the pin off to use what is there now",
        )
    # A datum never changes: its link is pinned as it is.
    immutable = found.link.startswith("datum://")
    return Pinned(
        name=name,
        link=found.link,
        pinned=found.link if immutable else links.pinned(found.link, promised if promised != NO_PIN else actual),
        files=len(files),
        bytes=sum(wanted.size for wanted in files),
    )


def not_reproducible(name: str, found: LinkFiles) -> str:
    """Why a rerun may get other bytes, or nothing."""
    return "" if found.reproducible else f"input {name}: {_shown(found)} is not versioned by its server"


def inputs_document(inputs: list[InputFiles], uri: Callable[[Wanted], str]) -> dict[str, Any]:
    """`/valohai/config/inputs.json`.

    Args:
        uri: where the bytes of a file are, as a link of its provider.
    """
    return {
        loaded.plan.name: {
            "input_id": loaded.plan.input_id,
            "files": [_file(loaded, wanted, uri(wanted)) for wanted in loaded.files if not wanted.absent],
        }
        for loaded in inputs
    }


def entries(inputs: list[InputFiles]) -> Iterator[Entry]:
    """The entries of the inputs manifest, sorted: paths are `<input>/<path below its directory>`."""
    files = ((f"{loaded.plan.name}/{wanted.path}", wanted) for loaded in inputs for wanted in loaded.files if not wanted.absent)
    for path, wanted in sorted(files, key=lambda pair: pair[0]):
        yield Entry(
            path=path,
            size=wanted.size,
            sha256=wanted.sha256,
            datum=wanted.datum,
            location=Location(store=wanted.store, key=wanted.key, offset=wanted.offset),
            link=wanted.link,
            metadata=wanted.metadata | ({"etag": wanted.etag} if wanted.etag and not wanted.datum else {}),
        )


def _pin_of(files: list[Wanted]) -> Pin:
    return Pin(sha256=files[0].sha256) if len(files) == 1 else _tree_pin(files)


def _tree_pin(files: list[Wanted]) -> Pin:
    return Pin(tree_sha256=links.tree_digest((wanted.path, wanted.sha256) for wanted in files))


def _shown(found: LinkFiles) -> str:
    web = found.link.startswith(("http://", "https://"))
    return found.link.partition("?")[0] if web else found.link


def _file(loaded: InputFiles, wanted: Wanted, storage_uri: str) -> dict[str, Any]:
    file: dict[str, Any] = {
        "name": wanted.path,
        "path": f"{podpaths.INPUTS}/{loaded.plan.name}/{wanted.path}",
        "uri": f"datum://{wanted.datum}" if wanted.datum else wanted.link,
        "storage_uri": storage_uri,
        "size": wanted.size,
        "checksums": {"sha256": wanted.sha256},
        "metadata": [wanted.metadata] if wanted.metadata and wanted.datum else [],
        "input_id": loaded.plan.input_id,
        "download_intent": "always",
    }
    if wanted.datum:
        file["datum_id"] = wanted.datum
    return file
