"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def sha256(pieces: Sequence[Buffer]) -> str:
    """Of what they are together."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def write_whole(pieces: Sequence[Buffer], temporary: str, target: str) -> None:
    """Writes a file, readable for everybody.

    Args:
        temporary: its name until it is whole; free, and on the same volume.

    Raises:
        OSError: nothing is left of it.
    """
    file = os.open(temporary, _FLAGS, 0o444)
    try:
        try:
            for piece in pieces:
                write_all(file, piece)
        finally:
            os.close(file)
        os.rename(temporary, target)  # noqa: PTH104  for every small file
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_all(file: int, data: Buffer) -> None:
    """Writes all of it where the file stands."""
    written = os.write(file, data)
    view = memoryview(data)
    while written < view.nbytes:
        written += os.write(file, view[written:])
