"""A file that is to be loaded, and the checks on its name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from datums.api.reasons import Failed
from datums.model.globs import is_glob
from datums.model.manifest import Entry
from datums.model.placement import is_safe
from datums.transfer.fetch_errors import FetchError

MAX_NAME_BYTES: Final = 255
MAX_PATH_BYTES: Final = 3500  # of PATH_MAX, 4,096, with room for the directories above


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
    version: str = ""
    """Version id or generation, where the store has them."""
    datum: str = ""
    link: str = ""
    """As the user wrote it."""
    metadata: dict[str, Any] = {}
    id: int = 0
    """In the spool."""
    input: int = 0
    """Position of the input in the plan."""
    loaded: bool = False
    """It lay on the disk, whole, when an earlier run was killed."""

    @property
    def shown_link(self) -> str:
        """The link for messages: a query of a public URL can hold a secret."""
        return self.link if self.store else self.link.partition("?")[0]

    @property
    def origin(self) -> tuple[str, str, int]:
        """Where the bytes are."""
        return self.store, self.key, self.offset

    @property
    def is_pinned(self) -> bool:
        """Whether bytes of another version of the object cannot be taken for its own."""
        return bool(self.etag or self.version or self.sha256)

    @property
    def is_sized(self) -> bool:
        """Whether the size can be believed: that of a single object was told by the header of an answer without a body."""
        return bool(self.sha256) or is_glob(self.link)


def check_name(input_name: str, path: str, named: Callable[[], str]) -> None:
    """Lets pass what can be the path of a file or a directory below an input's own.

    Args:
        named: says what has this path, for the message.

    Raises:
        FetchError: it cannot.
    """
    if not is_safe(path):
        problem = "an empty, '.' or '..' part, or a NUL, cannot be in the name of a file"
    # A character is at most four bytes: most names need no look at their parts.
    elif len(path) * 4 > MAX_NAME_BYTES and any(len(_bytes(part)) > MAX_NAME_BYTES for part in path.split("/")):
        problem = f"a part of its name is longer than {MAX_NAME_BYTES} bytes"
    elif len(path) * 4 > MAX_PATH_BYTES and len(_bytes(path)) > MAX_PATH_BYTES:
        problem = f"its name is longer than {MAX_PATH_BYTES} bytes"
    else:
        return
    raise FetchError(
        Failed.INVALID_SPEC,
        f"input {input_name!r}: {named()} cannot be the file {path!r} ({problem}): narrow the link, change keepDirectories, or set "
        "filename",
    )


def named(wanted: Wanted) -> str:
    """A file as messages name it."""
    where = f"{wanted.store}: {wanted.key}" if wanted.store else wanted.key.partition("?")[0]
    return f"{where} (link {wanted.shown_link})"


def collision(input_name: str, one: Wanted, other: Wanted) -> FetchError:
    """Two files would have one name."""
    return FetchError(
        Failed.INPUT_NAME_COLLISION,
        f"input {input_name!r}: {named(one)} and {named(other)} would both be {other.path!r}: use keepDirectories: Full, or two "
        "inputs",
    )


def nesting(input_name: str, file: Wanted, needs: Wanted | None) -> FetchError:
    """A file would have the name of a directory.

    Args:
        needs: a file that lies below that directory; None where it is an empty one.
    """
    why = f"and {named(needs)} needs a directory of that name" if needs else "also a directory"
    return FetchError(
        Failed.INPUT_NAME_COLLISION, f"input {input_name!r}: {named(file)} would be the file {file.path!r}, {why}: use two inputs"
    )


def parents(path: str) -> Iterator[str]:
    """The directories that a path needs, the nearest first."""
    above = path.rpartition("/")[0]
    while above:
        yield above
        above = above.rpartition("/")[0]


def last_of_each_path(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Of a sorted manifest: where a path was saved again, as on a disk the last file is what the path means."""
    held: Entry | None = None
    for entry in entries:
        if held is not None and held.path != entry.path:
            yield held
        held = entry
    if held is not None:
        yield held


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
