"""The manifest codec: what is written is read back, and broken bytes are never taken for a shorter manifest."""

import hashlib
import io
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from datums.model.manifest import Entry, Header, Location, ManifestError, Reader, read_file, write

HEADER = Header(kind="outputs", project="churn", created="2026-01-01T00:00:00Z", provenance={"image": "python:3"})


def entries(count: int) -> Iterator[Entry]:
    for i in range(count):
        yield Entry(path=f"f{i:07}", size=i, sha256=f"{i:064x}", datum=f"d{i}", location=Location("ns/s", f"k{i}"))


def written(count: int) -> bytes:
    out = io.BytesIO()
    write(out, HEADER, entries(count))
    return out.getvalue()


@given(st.dictionaries(st.text(min_size=1, max_size=30), st.integers(0, 2**50), max_size=20))
def test_round_trip(sizes: dict[str, int]) -> None:
    out = io.BytesIO()
    given_entries = [Entry(path=p, size=s, sha256="00" * 32) for p, s in sorted(sizes.items())]
    summary = write(out, HEADER, given_entries)
    out.seek(0)
    reader = read_file(out)
    assert reader.header == HEADER
    assert list(reader) == given_entries
    assert reader.summary == summary
    assert summary.sha256 == hashlib.sha256(out.getvalue()).hexdigest()
    files = [e for e in given_entries if not e.is_directory]
    assert (summary.files, summary.bytes) == (len(files), sum(e.size for e in files))


def test_it_is_json_lines_that_any_tool_reads() -> None:
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(written(1)).splitlines()
    assert lines[0].startswith(b'{"created":"2026-01-01T00:00:00Z","format":"datums/manifest/1","kind":"outputs"')
    assert b'"location":{"store":"ns/s","key":"k0"}' in lines[1]


@pytest.mark.parametrize("order", [["b", "a"], ["a", "a"]])
def test_entries_out_of_order_or_twice_are_refused(order: list[str]) -> None:
    with pytest.raises(ManifestError, match="out of order"):
        write(io.BytesIO(), HEADER, [Entry(path=p) for p in order])


def test_the_same_path_twice_is_told_apart_by_its_sequence() -> None:
    summary = write(io.BytesIO(), HEADER, [Entry(path="a", size=1), Entry(path="a", size=2, sequence=1), Entry(path="b/")])
    assert (summary.files, summary.bytes) == (2, 3)


def test_a_manifest_cut_anywhere_is_an_error() -> None:
    data = written(200)
    for cut in [*range(0, len(data), 97), len(data) - 1]:
        with pytest.raises(ManifestError):
            list(Reader([data[:cut]]))


def test_a_flipped_byte_is_an_error_or_another_digest() -> None:
    data = bytearray(written(50))
    whole = hashlib.sha256(data).hexdigest()
    for at in range(0, len(data), 41):
        data[at] ^= 0xFF
        try:
            reader = Reader([bytes(data)])
            list(reader)
        except ManifestError:
            pass
        else:
            assert reader.summary is not None and reader.summary.sha256 != whole
        data[at] ^= 0xFF


def test_another_format_is_named() -> None:
    out = io.BytesIO()
    write(out, Header(format="datums/manifest/9", kind="outputs", project="p", created=""), [])
    with pytest.raises(ManifestError, match="datums/manifest/9"):
        Reader([out.getvalue()])


def test_reading_a_large_manifest_keeps_no_entries() -> None:
    data = written(100_000)
    chunks = (data[i : i + 4096] for i in range(0, len(data), 4096))
    reader = Reader(chunks)
    assert sum(e.size for e in reader) == sum(range(100_000))
    assert reader.summary is not None and reader.summary.files == 100_000
