"""Loading from a store: when its thread is left behind."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from datums.transfer.download import Downloader
from datums.transfer.fetch_progress import Progress
from datums.transfer.flights import Flight


@pytest.mark.parametrize("may_hang", [False, True])
def test_where_no_call_hangs_nobody_is_given_up_for_waiting(may_hang: bool) -> None:
    """Perhaps it waits for another file to be written."""
    flight, due = Flight("s3://b/k"), list[float]()

    def pour(key: str, take: Any, offset: int, length: int, **_: str) -> None:
        for chunk in (b"ab", b"c"):
            due.append(flight.due)
            take(memoryview(chunk))
        due.append(flight.due)

    line: Any = SimpleNamespace(store=SimpleNamespace(may_hang=may_hang, pour=pour))
    nobody: Any = None
    got = bytearray()
    Downloader(line, nobody, nobody, Progress(), threading.Event())._pour("k", got.extend, flight, 0, 3)
    assert got == b"abc"
    assert [math.isinf(when) for when in due] == [not may_hang] * 3
    assert math.isinf(flight.due)
