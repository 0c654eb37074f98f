"""The live table of executions: redrawn in place on a terminal, a line for every change elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import datetime
from typing import Any

from demo.tools import say

Execution = dict[str, Any]
_FORMAT = "  {:<16} {:<10} {:<12} {:>8}  {}"


def condition(execution: Execution) -> dict[str, str]:
    """The condition `Succeeded`."""
    conditions = execution.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Succeeded"), {"status": "Unknown", "reason": "Pending", "message": ""})


def row(execution: Execution, now: float) -> str:
    """One execution as a line of the table."""
    status, meta = execution.get("status", {}), execution["metadata"]
    end = datetime.fromisoformat(status["completionTime"]).timestamp() if "completionTime" in status else now
    elapsed = max(0.0, end - datetime.fromisoformat(meta["creationTimestamp"]).timestamp())
    said = condition(execution)
    doing = status.get("statusDetail") or status.get("progress") or said.get("message", "")
    return _FORMAT.format(meta["name"], said["status"], said["reason"], f"{elapsed:.0f} s", doing)


class Table:
    """Shows executions while they run."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._drawn = 0
        self._said: dict[str, tuple[str, ...]] = {}
        say(_FORMAT.format("EXECUTION", "SUCCEEDED", "REASON", "ELAPSED", "PROGRESS"))

    def show(self, executions: list[Execution]) -> None:
        """Draws the table anew, or says what has changed."""
        now = time.time()
        if not self._live:
            for execution in executions:
                said = condition(execution)
                state = (said["status"], said["reason"], execution.get("status", {}).get("progress", ""))
                if self._said.get(execution["metadata"]["name"]) != state:
                    self._said[execution["metadata"]["name"]] = state
                    say(row(execution, now))
            return
        width = shutil.get_terminal_size().columns - 1
        back = f"\x1b[{self._drawn}A" if self._drawn else ""
        lines = [f"\x1b[2K{row(execution, now)[:width]}\n" for execution in executions]
        sys.stdout.write(back + "".join(lines))
        sys.stdout.flush()
        self._drawn = len(lines)
