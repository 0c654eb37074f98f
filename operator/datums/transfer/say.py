"""The log of what runs in a pod: lines on standard error, for people."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Writes one line."""
    sys.stderr.write(f"ship: {line}\n")
    sys.stderr.flush()
