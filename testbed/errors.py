"""The one exception of the testbed."""

from pathlib import Path


class SetupError(Exception):
    """Something the testbed needs is missing or in the way; the message is one sentence or two that say what to do."""


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, indented, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return "\n".join(f"    {line[:300]}" for line in lines[-count:]) or "    (nothing)"
