"""The files that are to be loaded, and the checks on their names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from datums.api.reasons import Failed
from datums.model.links import NO_PIN, Pin
from datums.model.placement import is_safe
from datums.model.plan import InputPlan
from datums.transfer.fetch_errors import FetchError

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 3500  # of PATH_MAX, 4,096, with room for the directories above


class Wanted(msgspec.Struct, kw_only=True, gc=False):
    """One file of an input, and once it is loaded what it holds."""

    path: str
    """Below the input's directory."""
    store: str
    """`<namespace>/<name>`; empty for a public file."""
    key: str
    """The object's key; the URL of a public file."""
    offset: int = 0
    size: int = -1
    """Bytes; -1 while unknown."""
    sha256: str = ""
    """Promised, or found out; empty while unknown."""
    etag: str = ""
    datum: str = ""
    link: str
    """As the user wrote it."""
    metadata: dict[str, Any] = {}
    absent: bool = False
    """A public file that does not exist, of an input that is optional."""

    @property
    def shown_link(self) -> str:
        """The link for messages: a query of a public URL can hold a secret."""
        return self.link if self.store else self.link.partition("?")[0]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Where the bytes are."""
        return self.store, self.key, self.offset


class LinkFiles(msgspec.Struct, kw_only=True):
    """What one link led to."""

    link: str
    pin: Pin = NO_PIN
    files: list[Wanted] = []
    directories: list[str] = []
    """Empty ones, below the input's directory."""
    reproducible: bool = True


class InputFiles(msgspec.Struct, kw_only=True):
    """What one input led to."""

    plan: InputPlan
    links: list[LinkFiles]
    files: list[Wanted]
    """Of all links, each path once."""
    directories: list[str]


def gather(plan: InputPlan, links: list[LinkFiles]) -> InputFiles:
    """The files of an input under their final names.

    Raises:
        FetchError: two files would have one name, or a name cannot be a file.
    """
    if plan.filename:
        origins = {wanted.origin for found in links for wanted in found.files}
        if len(origins) == 1:
            for found in links:
                for wanted in found.files:
                    wanted.path = plan.filename
    by_path: dict[str, Wanted] = {}
    for found in links:
        for position, wanted in enumerate(found.files):
            same = by_path.setdefault(wanted.path, wanted)
            if same is wanted:
                _check_name(plan.name, wanted)
            elif same.origin == wanted.origin:
                found.files[position] = same  # one object that two links name is loaded once
            else:
                raise FetchError(
                    Failed.INPUT_NAME_COLLISION,
                    f"input {plan.name!r}: {_named(same)} and {_named(wanted)} would both be {wanted.path!r}: use keepDirectories: "
                    "Full, or two inputs",
                )
    directories = [path for found in links for path in found.directories]
    _check_nesting(plan.name, by_path, directories)
    return InputFiles(plan=plan, links=links, files=list(by_path.values()), directories=directories)


def _check_name(input_name: str, wanted: Wanted) -> None:
    parts = wanted.path.split("/")
    if not is_safe(wanted.path):
        problem = "an empty, '.' or '..' part, or a NUL, cannot be in the name of a file"
    elif any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts):
        problem = f"a part of its name is longer than {MAX_NAME_BYTES} bytes"
    elif len(wanted.path.encode("utf-8", "surrogateescape")) > MAX_PATH_BYTES:
        problem = f"its name is longer than {MAX_PATH_BYTES} bytes"
    else:
        return
    raise FetchError(
        Failed.INVALID_SPEC,
        f"input {input_name!r}: {_named(wanted)} cannot be the file {wanted.path!r} ({problem}): narrow the link, change "
        "keepDirectories, or set filename",
    )


def _check_nesting(input_name: str, by_path: dict[str, Wanted], directories: Iterable[str]) -> None:
    """No file may have the name of a directory that another file needs."""
    for path, wanted in by_path.items():
        above = path.rpartition("/")[0]
        while above:
            if other := by_path.get(above):
                raise FetchError(
                    Failed.INPUT_NAME_COLLISION,
                    f"input {input_name!r}: {_named(other)} would be the file {above!r}, and {_named(wanted)} needs a directory of "
                    "that name: use two inputs",
                )
            above = above.rpartition("/")[0]
    for path in directories:
        if path in by_path:
            raise FetchError(
                Failed.INPUT_NAME_COLLISION,
                f"input {input_name!r}: {_named(by_path[path])} would be the file {path!r}, also a directory: use two inputs",
            )


def _named(wanted: Wanted) -> str:
    where = f"{wanted.store}: {wanted.key}" if wanted.store else wanted.key.partition("?")[0]
    return f"{where} (link {wanted.shown_link})"
