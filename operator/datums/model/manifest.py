"""Manifests: one canonical, sorted list of entries behind a header, as zstd-compressed JSON lines.

A manifest is named by the SHA-256 of its compressed bytes and read as a stream: a million entries never sit in memory.

    {"format": "datums/manifest/1", "kind": "outputs", "project": "churn", "created": "2026-01-01T00:00:00Z", "provenance": {…}}
    {"path": "a/b.csv", "size": 12, "sha256": "…", "datum": "…", "location": {"store": "platform/ml", "key": "…"}, "mtime": 1.5}
    {"path": "empty/", "size": 0}                                                        a directory: the path ends in a slash
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec
import zstandard

if TYPE_CHECKING:
    from typing_extensions import Buffer

FORMAT = "datums/manifest/1"
_LEVEL = 1
"""The digests, which are most of it, cannot be compressed: higher levels only take longer."""
_AT_ONCE = 200
"""So many entries are encoded together: with their metadata they may take some MiB."""
_READ_BYTES = 1 << 17


class ManifestError(ValueError):
    """Bytes that are no manifest, or not the one that was promised."""


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the bytes are."""

    store: str
    """`<namespace>/<name>` of the DataStore; empty for a public URL."""
    key: str
    """The object's key; for a public URL the URL."""
    offset: int = 0


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One file, or (path ending in a slash) one empty directory."""

    path: str
    size: int = msgspec.field(default=0)
    sha256: str = ""
    datum: str = ""
    location: Location | None = None
    mtime: float = 0.0
    """Seconds since the epoch, as the file system gave it."""
    sequence: int = 0
    """How many files of the same path the same attempt saved before this one."""
    link: str = ""
    """Resolved inputs only: the link as the user wrote it."""
    metadata: dict[str, Any] = {}

    @property
    def is_directory(self) -> bool:
        return self.path.endswith("/")

    @property
    def order(self) -> tuple[str, int]:
        """What entries are sorted by."""
        return self.path, self.sequence


class Header(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The first line."""

    format: str = msgspec.field(default=FORMAT)
    kind: Literal["outputs", "inputs"]
    project: str
    created: str
    """RFC 3339, UTC."""
    provenance: dict[str, Any] = {}


class Summary(msgspec.Struct, frozen=True):
    """What a manifest holds, known once it is written or read to its end."""

    sha256: str
    files: int
    bytes: int
    """Sum of the sizes of the files, not of the manifest."""


_encoder = msgspec.json.Encoder(order="deterministic")
_header_decoder = msgspec.json.Decoder(Header)
_entry_decoder = msgspec.json.Decoder(Entry)


def write(out: BinaryIO, header: Header, entries: Iterable[Entry]) -> Summary:
    """Writes a manifest.

    Args:
        out: receives the compressed bytes.
        header: the first line.
        entries: sorted by `Entry.order`, no two alike.

    Raises:
        ManifestError: the entries are not in order.
    """
    digest = hashlib.sha256()
    entries, files, size = iter(entries), 0, 0
    last, sequence = "", -1
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()

    def emit(data: bytes) -> None:
        if data:
            digest.update(data)
            out.write(data)

    # `format` equals its default and would be left out: the header names it all the same.
    emit(compressor.compress(_encoder.encode_lines([{"format": header.format, **msgspec.to_builtins(header)}])))
    while batch := list(islice(entries, _AT_ONCE)):
        for entry in batch:
            path = entry.path
            if path < last or (path == last and entry.sequence <= sequence):
                raise ManifestError(f"manifest entries out of order: {path!r} (sequence {entry.sequence}) after {last!r}")
            last, sequence = path, entry.sequence
            if path[-1:] != "/":
                files += 1
                size += entry.size
        emit(compressor.compress(_encoder.encode_lines(batch)))
    emit(compressor.flush())
    return Summary(sha256=digest.hexdigest(), files=files, bytes=size)


class Reader:
    """Reads a manifest from the chunks of its compressed bytes: `header` at once, the entries by iterating.

    After the last entry `summary` holds the digest and the counts of what was read.

    Raises:
        ManifestError: on construction or while iterating, for bytes that are no manifest or that end too early.
    """

    def __init__(self, chunks: Iterable[Buffer]) -> None:
        self._digest = hashlib.sha256()
        self._lines = self._split(chunks)
        self.summary: Summary | None = None
        try:
            self.header: Header = _header_decoder.decode(next(self._lines))
        except (StopIteration, msgspec.MsgspecError) as error:
            raise ManifestError(f"not a manifest: {error or 'no header'}") from None
        if self.header.format != FORMAT:
            raise ManifestError(f"manifest of format {self.header.format!r}; this version reads {FORMAT!r}")

    def __iter__(self) -> Iterator[Entry]:
        files = size = 0
        for line in self._lines:
            try:
                entry = _entry_decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise ManifestError(f"broken manifest entry after {files} files: {error}") from None
            if not entry.is_directory:
                files += 1
                size += entry.size
            yield entry
        self.summary = Summary(sha256=self._digest.hexdigest(), files=files, bytes=size)

    def _split(self, chunks: Iterable[Buffer]) -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor().decompressobj()
        rest = b""
        try:
            for chunk in chunks:
                self._digest.update(chunk)
                *lines, rest = (rest + decompressor.decompress(memoryview(chunk))).split(b"\n")
                yield from lines
        except zstandard.ZstdError as error:
            raise ManifestError(f"not a manifest: {error}") from None
        if rest or not decompressor.eof:
            raise ManifestError("the manifest ends too early")


def read_file(stream: BinaryIO) -> Reader:
    """A Reader over an open file."""
    return Reader(iter(lambda: stream.read(_READ_BYTES), b""))
