"""CRC32C, against the check value of its definition."""

from __future__ import annotations

import google_crc32c

from datums.stores.checksums import as_base64, crc32c


def test_the_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert as_base64(0xE3069283) == "4waSgw=="


def test_any_buffer_of_any_size() -> None:
    data = bytes(range(256)) * 5000
    for size in (0, 1, 256 << 10, (256 << 10) + 1, len(data)):
        expected = google_crc32c.value(data[:size])
        assert crc32c(data[:size]) == crc32c(bytearray(data[:size])) == crc32c(memoryview(data)[:size]) == expected
