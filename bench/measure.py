"""What a process costs."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one process with its children."""

    seconds: float
    """Wall."""
    cpu: float
    """CPU seconds, user and system."""
    mib: float
    """Peak resident memory."""
    busy: float
    """The share of all cores that worked, for whatever process: where it is near 1, they are the limit."""


def run(
    argv: Sequence[str | Path],
    env: Mapping[str, str],
    done: Callable[[subprocess.Popen[bytes]], None] | None = None,
    cwd: Path | None = None,
) -> Cost:
    """Runs a program to its end.

    Args:
        env: besides PATH and HOME, all of its environment.
        done: waits for the moment that counts as the end, and makes the process end after that.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env}
    with tempfile.TemporaryFile() as log:
        started, worked = time.monotonic(), _worked()
        # What the child inherits at its birth counts as its peak memory: this process stays small, and imports no SDK.
        process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd)
        try:
            if done is not None:
                done(process)
                seconds, worked = time.monotonic() - started, _worked() - worked
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if done is None:
            seconds, worked = time.monotonic() - started, _worked() - worked
        if process.returncode:
            log.seek(max(0, log.tell() - 2000))
            shown = " ".join(str(part) for part in argv[:6])
            raise RuntimeError(f"{shown} … ended with {process.returncode}:\n{log.read().decode(errors='replace')}")
    busy = worked / seconds / (os.cpu_count() or 1)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, busy)


def _worked() -> float:
    """Seconds that all cores have worked so far, or were kept from it by the hypervisor. Source: proc_stat(5)."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
