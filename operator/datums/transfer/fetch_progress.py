"""What has been loaded so far, and telling the operator of it."""

from __future__ import annotations

import threading
from typing import Final

from datums.model.commit import Report
from datums.transfer.flights import Flights
from datums.transfer.rate import Rate

_AFTER_SECONDS: Final = 1.0
_EVERY_SECONDS: Final = 1.0


class Progress:
    """Counters that many threads write; a reader sees whole numbers, not one moment."""

    def __init__(self, flights: Flights | None = None) -> None:
        self.flights = flights or Flights()
        self._lock = threading.Lock()
        self._rate = Rate()
        self.files = 0
        self.bytes = 0
        self.total_files = 0
        self.total_bytes = 0

    def add(self, files: int, size: int) -> None:
        """Counts files that are done and bytes that came."""
        with self._lock:
            self.files += files
            self.bytes += size

    def report(self) -> Report:
        """Where it stands."""
        return Report(
            phase="Downloading",
            files=self.files,
            bytes=self.bytes,
            total_files=self.total_files,
            total_bytes=self.total_bytes,
            rate=self._rate.of(self.bytes),
            trouble=self.flights.stuck(),
        )


class Reporting:
    """While it is entered: reports every second, from the first second on. What is done sooner costs no HTTP client."""

    def __init__(self, progress: Progress, agent_url: str, token: str) -> None:
        self._progress = progress
        self._agent_url = agent_url
        self._token = token
        self._done = threading.Event()

    def __enter__(self) -> None:
        if self._agent_url:
            threading.Thread(target=self._run, name="reporting", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _run(self) -> None:
        if self._done.wait(_AFTER_SECONDS):
            return
        from datums.transfer.report import Reporter  # noqa: PLC0415

        reporter = Reporter(self._agent_url, self._token)
        while True:
            reporter.send(self._progress.report())
            if self._done.wait(_EVERY_SECONDS):
                return
