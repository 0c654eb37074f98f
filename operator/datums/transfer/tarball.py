"""Headers of plain tar files: POSIX ustar, with a pax header before names that ustar cannot hold.

tarfile takes 60 µs for a header, as much as everything else that is done for a small file.
"""

from __future__ import annotations

import zlib
from typing import Final

BLOCK: Final = 512
END: Final = b"\0" * (2 * BLOCK)
"""What a tar file ends with."""
_NAME = 100
_PREFIX = 155
_MAX_SECONDS = 8**11 - 1
_MAGIC: Final = bytes(100) + b"ustar\x0000" + bytes(80)
_REGULAR: Final = b"0"
_PAX: Final = b"x"


def padded(size: int) -> int:
    """The bytes that a body of `size` bytes takes up."""
    return -(-size // BLOCK) * BLOCK


def overhead(path: str) -> int:
    """The bytes that a file's header takes up, at most."""
    return BLOCK if len(path) <= _NAME and path.isascii() else 4 * BLOCK + 4 * len(path)


def header(path: str, size: int, mode: int, mtime: float) -> bytes:
    """What precedes a file's bytes; one block, or more for a name that is long or not ASCII.

    Args:
        path: relative, POSIX, UTF-8.
        size: bytes, below 8 GiB.
        mode: permission bits.
        mtime: seconds since the epoch. What a tar header cannot hold (before 1970, after 2242) becomes the nearest that it can.
    """
    name = path.encode()
    prefix = b""
    before = b""
    if len(name) > _NAME or not path.isascii():
        split = _split(name) if path.isascii() else None
        if split is None:
            record = _record(b"path", name)
            short = name.decode("ascii", "replace").replace("\ufffd", "_")[-_NAME + 12 :].encode("ascii", "replace")
            before = _block(b"PaxHeaders/" + short.lstrip(b"/"), b"", len(record), 0o644, 0, _PAX)
            before += record.ljust(padded(len(record)), b"\0")
            name = short.lstrip(b"/")
        else:
            prefix, name = split
    return before + _block(name, prefix, size, mode & 0o7777, min(max(int(mtime), 0), _MAX_SECONDS), _REGULAR)


def _block(name: bytes, prefix: bytes, size: int, mode: int, mtime: int, kind: bytes) -> bytes:
    # Name, mode, owner, size, time, a blank checksum, kind, link, magic, user, group and device, prefix.
    head = b"%b%07o\x000000000\x000000000\x00%011o\x00%011o\x00" % (name.ljust(_NAME, b"\0"), mode, size, mtime)
    tail = b"%b%b%b" % (kind, _MAGIC, prefix.ljust(_PREFIX + 12, b"\0"))
    # Of ASCII alone, 512 bytes add up to less than Adler-32's modulus: its lower half is their sum, by one call, and 1.
    total = (zlib.adler32(tail, zlib.adler32(head)) & 0xFFFF) - 1 + 8 * ord(" ")
    return b"%b%06o\0 %b" % (head, total, tail)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """The name as ustar splits it at a slash; None where it is too long for that."""
    at = name.find(b"/", max(0, len(name) - _NAME - 1))
    return (name[:at], name[at + 1 :]) if 0 < at <= _PREFIX and at + 1 < len(name) else None


def _record(key: bytes, value: bytes) -> bytes:
    """A pax record: its own length in decimal, the key, the value."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest
