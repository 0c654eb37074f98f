"""Processes that outlive this one: started in a session of their own, remembered in a file, ended by their pid."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.errors import SetupError, last_lines


def boot_id() -> str:
    """Another value after every boot: what tells a record of this boot from one of an earlier."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_ticks(pid: int) -> int | None:
    """When the process was started, in clock ticks since boot; None when it has ended (a zombie has).

    Pid and start together name a process for good; a pid alone is used again.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Command:
    """What a component is run with. `files` are configuration files it reads at its start: a change of one restarts it."""

    name: str
    argv: Sequence[str]
    files: Sequence[Path] = ()

    def fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(list(self.argv)).encode())
        program = Path(self.argv[0]).stat()
        digest.update(f"{program.st_size} {program.st_mtime_ns}".encode())
        for file in self.files:
            digest.update(file.read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Process:
    """A component's process by its record in `directory`; logs go to `logs`."""

    name: str
    directory: Path
    logs: Path

    @property
    def record(self) -> Path:
        return self.directory / f"{self.name}.json"

    @property
    def log(self) -> Path:
        return self.logs / f"{self.name}.log"

    def pid(self) -> int | None:
        """The pid, if the process that the record names is alive."""
        known = self._read()
        if known.get("boot") == boot_id() and start_ticks(known["pid"]) == known["started"]:
            return int(known["pid"])
        return None

    def is_current(self, command: Command) -> bool:
        """Alive, and started with this very command and configuration."""
        return self.pid() is not None and self._read().get("fingerprint") == command.fingerprint()

    def start(self, command: Command) -> int:
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        record = {
            "pid": child.pid,
            "started": start_ticks(child.pid),
            "boot": boot_id(),
            "fingerprint": command.fingerprint(),
        }
        self.record.write_text(json.dumps(record))
        child.returncode = 0  # it is not ours to wait for: keeps Popen from warning that it still runs
        return child.pid

    def check_alive(self) -> None:
        """Raises with the end of its log when the process has ended."""
        if self.pid() is None:
            raise SetupError(f"{self.name} has ended; the end of its log, {self.log}:\n{last_lines(self.log)}")

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return known if isinstance(known, dict) and {"pid", "started", "boot"} <= known.keys() else {}


def stop_all(processes: Iterable[Process], patience: float = 10.0) -> None:
    """SIGTERM to all together, SIGKILL after `patience` seconds to those that are left; their records are removed."""
    processes = list(processes)
    alive = {process.name: pid for process in processes if (pid := process.pid()) is not None}
    end_pids(alive.values(), patience)
    for process in processes:
        process.record.unlink(missing_ok=True)


def end_pids(pids: Iterable[int], patience: float) -> None:
    """Ends the processes, at first with SIGTERM."""
    left = {pid: start_ticks(pid) for pid in pids}
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ChildProcessError):  # a child of ours is a zombie until it is waited for
                    os.waitpid(pid, os.WNOHANG)
            left = {pid: started for pid, started in left.items() if started and start_ticks(pid) == started}
            if left:
                time.sleep(0.02)
        if not left:
            return
    raise SetupError(f"processes {sorted(left)} do not end even on SIGKILL: they hang in the kernel; restart the machine")
