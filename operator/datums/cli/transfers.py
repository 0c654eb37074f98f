"""What commands that move bytes have in common: errors as sentences, amounts for people, a line that tells how far it is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from datums.cli.cluster import Problem
from datums.stores.errors import StoreError
from datums.transfer.fetch_errors import FetchError, from_system

if TYPE_CHECKING:
    from datums.model.commit import Report
    from datums.transfer.fetch_progress import Progress

_EVERY_SECONDS: Final = 0.5
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


@contextmanager
def sentences(input_name: str = "") -> Iterator[None]:
    """Errors of transfers as problems.

    Args:
        input_name: of the plan's one input, which means nothing to whoever reads the message.
    """
    try:
        yield
    except FetchError as error:
        raise Problem(f"{str(error).replace(f'input {input_name!r}, ', '')} ({error.reason})") from None
    except StoreError as error:
        raise Problem(f"{error} ({error.reason})") from None
    except OSError as error:
        raise Problem(str(from_system(error, str(error.filename2 or error.filename or "a file"), 0))) from None


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """While it is entered: a line on the terminal, if standard error is one."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def run() -> None:
        while not done.wait(_EVERY_SECONDS):
            print(f"\r\033[K{line(progress.report())}", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(1)
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def line(report: Report) -> str:
    """How far a transfer is, in one line."""
    if not report.total_files:
        told = "looking what the link leads to"
    else:
        told = f"{report.files:,} of {report.total_files:,} files, {amount(report.bytes)} of {amount(report.total_bytes)}"
        if report.rate:
            told += f", {amount(round(report.rate))}/s"
            left = max(0, report.total_bytes - report.bytes) / report.rate
            told += f", {duration(left)} left"
    return f"{told}; {report.trouble}" if report.trouble else told


def amount(size: float) -> str:
    """Bytes for people, in steps of 1,000; exact below that."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} B"


def duration(seconds: float) -> str:
    """Seconds for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
