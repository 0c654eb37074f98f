"""Where an input's files go below the input's directory."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from datums.model.globs import fixed_prefix, is_glob

KeepDirectories: TypeAlias = Literal["None", "Suffix", "Full"]

_NO_NAMES: Final = frozenset(("", ".", ".."))


def place(pattern: str, key: str, keep: KeepDirectories) -> str:
    """The path of a stored object below its input's directory.

    Args:
        pattern: the key pattern of the link, as written.
        key: the key that matched.
        keep: `None` the base name; `Full` the whole key; `Suffix` the key after the last slash before the first wildcard.
    """
    if keep == "Full":
        return key
    if keep == "None" or not is_glob(pattern):
        return key.rpartition("/")[2]
    start = fixed_prefix(pattern).rfind("/") + 1
    return key[start:]


def place_output(path: str, keep: KeepDirectories) -> str:
    """The path of a datum below its input's directory; its own path is the one it was saved under."""
    return path.rpartition("/")[2] if keep == "None" else path


def is_safe(path: str) -> bool:
    """Whether the path stays below the directory that it is joined to, and can be a file there."""
    return "\0" not in path and _NO_NAMES.isdisjoint(path.split("/"))
