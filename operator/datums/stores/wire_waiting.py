"""Waiting for the network, and seeing what has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pycurl

_LOOK_SECONDS: Final = 1.0


def wait(multi: pycurl.CurlMulti, seconds: float = _LOOK_SECONDS) -> None:
    """Until there is something to do, but no longer than so many seconds."""
    due = multi.timeout()
    seconds = min(seconds, due / 1000 if due >= 0 else seconds, _LOOK_SECONDS)
    # -1: nothing to wait for yet, such as while a name is looked up.
    if seconds > 0 and multi.select(seconds) < 0:
        time.sleep(min(seconds, 0.005))


def ended(multi: pycurl.CurlMulti) -> Iterator[tuple[pycurl.Curl, tuple[int, str] | None]]:
    """The handles whose requests have come to their end, and what went wrong: libcurl's code and text."""
    more = 1
    while more:
        more, well, badly = multi.info_read()
        for handle in well:
            yield handle, None
        for handle, code, text in badly:
            yield handle, (code, text)
