"""Datum ids: UUIDs of version 8, derived, so that deriving them again gives the same ones.

Of a UUID's 122 free bits the first 60 name the *set* (one attempt of one execution), the other 62 the file in it. A set is
written as 15 hex digits. The bundle Datum of a set carries 62 zero bits, which no file of it may have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from uuid import UUID

_LOW_BITS = 62
_LOW_MASK = (1 << _LOW_BITS) - 1


def set_of_attempt(execution_uid: str, attempt: int, salt: int = 0) -> str:
    """The set of one attempt, 15 hex digits. `salt` is raised where the set's index names another attempt already."""
    return _digest("datums/set/1", execution_uid, str(attempt), str(salt))[:15]


def file_id(set_hex: str, path: str, sequence: int, sha256: str) -> UUID:
    """The id of one file of a set.

    Args:
        set_hex: the set, 15 hex digits.
        path: the file's path below the outputs directory, POSIX.
        sequence: 0 for the first file saved under this path, 1 for the second, …
        sha256: of the file's bytes, 64 hex digits.
    """
    low = int(_digest("datums/file/1", path, str(sequence), sha256), 16) & _LOW_MASK
    return _uuid(set_hex, low or 1)


def file_ids(set_hex: str) -> Callable[[str, int, str], str]:
    """`file_id` as text, for many files of one set: takes path, sequence and sha256."""
    head = str(_uuid(set_hex, 0))[:19]

    def text(path: str, sequence: int, sha256: str) -> str:
        name = f"datums/file/1\0{path}\0{sequence}\0{sha256}".encode("utf-8", "surrogateescape")
        low = int.from_bytes(hashlib.sha256(name).digest()[-8:], "big") & _LOW_MASK
        tail = f"{0b10 << 62 | (low or 1):x}"
        return f"{head}{tail[:4]}-{tail[4:]}"

    return text


def bundle_id(set_hex: str) -> UUID:
    """The id of the whole set as one datum."""
    return _uuid(set_hex, 0)


def set_of_datum(datum: UUID) -> str:
    """The set that a datum id belongs to, 15 hex digits."""
    return datum.hex[:12] + datum.hex[13:16]


def is_bundle(datum: UUID) -> bool:
    """Whether the id names a whole set."""
    return datum.int & _LOW_MASK == 0


def parse_datum_id(text: str) -> UUID | None:
    """The datum id that `text` is, in canonical form; None for anything else (an alias, another kind of UUID)."""
    try:
        datum = UUID(text)
    except ValueError:
        return None
    if str(datum) != text.lower() or datum.version != 8:
        return None
    return datum


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _uuid(set_hex: str, low: int) -> UUID:
    if len(set_hex) != 15:
        raise ValueError(f"a set is 15 hex digits, not {set_hex!r}")
    return UUID(int=(int(set_hex[:12], 16) << 80) | (8 << 76) | (int(set_hex[12:], 16) << 64) | (0b10 << 62) | low)
