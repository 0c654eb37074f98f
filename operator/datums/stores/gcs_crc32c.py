"""CRC32C of an object from those of its parts, so that no byte is gone through twice."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from datums.stores.checksums import crc32c

if TYPE_CHECKING:
    from typing_extensions import Buffer

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli's, reflected
_Matrix: TypeAlias = tuple[int, ...]


class Piece(NamedTuple):
    """Some bytes in a row."""

    crc32c: int
    size: int
    """Bytes."""

    def __str__(self) -> str:
        return f"{self.crc32c:08x}:{self.size}"


def measure(data: Buffer) -> Piece:
    """The piece that `data` is."""
    return Piece(crc32c(data), memoryview(data).nbytes)


def parse(tag: str) -> Piece:
    """From `str(piece)`.

    Raises:
        ValueError
    """
    value, _, size = tag.partition(":")
    return Piece(int(value, 16), int(size))


def join(pieces: Iterable[Piece]) -> Piece:
    """The piece that the pieces are, one after the other."""
    value = size = 0
    for piece in pieces:
        value = _times(_zeros(piece.size), value) ^ piece.crc32c
        size += piece.size
    return Piece(value, size)


@lru_cache(maxsize=4)  # all parts but the last have one size
def _zeros(count: int) -> _Matrix:
    """What `count` zero bytes do to a CRC: a linear map over GF(2), column by column (as zlib's crc32_combine has it)."""
    power: _Matrix = (_POLYNOMIAL, *(1 << bit for bit in range(31)))  # one zero bit
    for _ in range(3):
        power = _square(power)
    result: _Matrix = tuple(1 << bit for bit in range(32))
    while count:
        if count & 1:
            result = tuple(_times(power, column) for column in result)
        power = _square(power)
        count >>= 1
    return result


def _square(matrix: _Matrix) -> _Matrix:
    return tuple(_times(matrix, column) for column in matrix)


def _times(matrix: _Matrix, vector: int) -> int:
    result = 0
    for column in matrix:
        if vector & 1:
            result ^= column
        vector >>= 1
    return result
