"""Progress reports to the operator. Best effort: only the progress shown, and how soon a commit is noticed, depend on them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from datums.model import podpaths
from datums.model.commit import Report

if TYPE_CHECKING:
    from http.client import HTTPConnection

_SECONDS_BETWEEN = 1.0
_TIMEOUT_SECONDS = 2.0
_MAX_BACK_OFF_SECONDS = 10.0


class Reporter:
    """Sends the latest report, at most one a second, on one connection that stays open; a `Committed` one at once.

    Works in a thread of its own, which starts with the first report. What cannot be delivered is tried again until a newer report
    takes its place.

    Args:
        agent_url: the operator's agent endpoint; empty for nowhere.
        token: path of the service-account token, read anew for every report (the kubelet rotates it).
    """

    def __init__(self, agent_url: str, token: str = podpaths.TOKEN) -> None:
        self._url = agent_url
        self._token = token
        self._changed = threading.Condition()
        self._waiting: Report | None = None
        self._last: Report | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def send(self, report: Report) -> None:
        """Sends the report when its turn has come, if it says anything new. Returns at once."""
        if not self._url:
            return
        with self._changed:
            if self._closed or report == self._last:
                return
            self._last = self._waiting = report
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Delivers the last report, if that takes no longer than `seconds`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        connection = _Connection(self._url, self._token)
        back_off = 0.0
        while (report := self._next(back_off)) is not None:
            if connection.post(report):
                back_off = _SECONDS_BETWEEN
                continue
            back_off = min(_MAX_BACK_OFF_SECONDS, max(_SECONDS_BETWEEN, back_off * 2))
            with self._changed:
                if self._closed:
                    return
                self._waiting = self._waiting or report

    def _next(self, pause: float) -> Report | None:
        """The report to send after the pause; None after the last. `Committed` and closing cut the pause short, once each."""
        began = time.monotonic()
        with self._changed:
            urgent = self._is_urgent()
            while True:
                left = began + pause - time.monotonic()
                if self._waiting is not None and (left <= 0 or (self._is_urgent() and not urgent) or self._closed):
                    report, self._waiting = self._waiting, None
                    return report
                if self._closed:
                    return None
                self._changed.wait(None if self._waiting is None else max(0.0, left))

    def _is_urgent(self) -> bool:
        return self._waiting is not None and self._waiting.phase == "Committed"


class _Connection:
    """One HTTP connection, opened when needed and kept."""

    def __init__(self, url: str, token: str) -> None:
        # Imported here: a process that reports nothing does not pay for it.
        from urllib.parse import urlsplit  # noqa: PLC0415

        parts = urlsplit(url)
        self._tls = parts.scheme == "https"
        self._host = parts.netloc
        self._path = parts.path.rstrip("/") + "/v1/report"
        self._token = Path(token)
        self._open: HTTPConnection | None = None

    def post(self, report: Report) -> bool:
        """Whether the operator took the report."""
        from http.client import HTTPException  # noqa: PLC0415

        kept = self._open is not None
        try:
            return self._post(report)
        except (OSError, HTTPException):
            self._close()
        if not kept:
            return False
        # The other side may have closed the idle connection: that is no failure yet.
        try:
            return self._post(report)
        except (OSError, HTTPException):
            self._close()
            return False

    def _post(self, report: Report) -> bool:
        from http.client import HTTPConnection, HTTPSConnection  # noqa: PLC0415

        token = self._token.read_text(encoding="ascii").strip()
        if self._open is None:
            self._open = (HTTPSConnection if self._tls else HTTPConnection)(self._host, timeout=_TIMEOUT_SECONDS)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._open.request("POST", self._path, msgspec.json.encode(report), headers)
        response = self._open.getresponse()
        response.read()
        return 200 <= response.status < 300

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
