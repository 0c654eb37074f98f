"""What the person at the terminal sees while something takes long."""

import sys
import time


class Step:
    """One step with its time: `with Step("building …") as step: step.say("what it does now")`.

    On a terminal one line is written over and over; elsewhere a line every few seconds at most.
    """

    QUIET_SECONDS = 5.0

    def __init__(self, title: str) -> None:
        self.title = title
        self._started = time.monotonic()
        self._said = self._started
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "Step":
        if self._terminal:
            self._write(f"  {self.title} …")
        return self

    def say(self, detail: str) -> None:
        now = time.monotonic()
        if now - self._said < (0.1 if self._terminal else self.QUIET_SECONDS):
            return
        self._said = now
        self._write(f"  {self.title}: {now - self._started:4.0f} s, {detail}"[:110], end="" if self._terminal else "\n")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        elapsed = time.monotonic() - self._started
        self._write(f"  {self.title}: {'done' if kind is None else 'failed'} in {elapsed:.1f} s", end="\n")

    def _write(self, text: str, end: str = "") -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        sys.stderr.write(clear + text + end)
        sys.stderr.flush()
