"""Servers that tests start, remembered in `.testbed/servers`, so that those whose test run was killed are ended later."""

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

from testbed.layout import HOME, Place
from testbed.processes import Process, start_ticks, stop_all

REGISTER = HOME / "servers"


def adopt(place: Place, owner: int | None) -> None:
    """Remembers a server's directory. `owner`: the process that it shall not outlive."""
    REGISTER.mkdir(parents=True, exist_ok=True)
    started = None if owner is None else start_ticks(owner)
    entry = {"directory": str(place.root), "owner": owner, "started": started}
    _entry(place).write_text(json.dumps(entry))


def end(place: Place, patience: float = 0.2) -> None:
    """Ends the server's processes and forgets it. What it stored is thrown away: it may be killed."""
    names = [record.stem for record in place.processes.glob("*.json")]
    stop_all((Process(name, place.processes, place.logs) for name in names), patience)
    _entry(place).unlink(missing_ok=True)


def end_abandoned() -> None:
    """Ends the servers whose owner has ended."""
    for entry in REGISTER.glob("*.json"):
        with contextlib.suppress(FileNotFoundError, ValueError):  # another run does the same at this moment
            known = json.loads(entry.read_text())
            if known["owner"] is not None and start_ticks(known["owner"]) != known["started"]:
                place = Place(Path(known["directory"]))
                end(place)
                if place.root.parent.parent == HOME:  # a temporary one, which its owner would have removed
                    shutil.rmtree(place.root, ignore_errors=True)


def end_all() -> None:
    """Ends every server that tests have started, abandoned or not."""
    for entry in REGISTER.glob("*.json"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            end(Place(Path(json.loads(entry.read_text())["directory"])))


def _entry(place: Place) -> Path:
    return REGISTER / f"{hashlib.sha256(str(place.root).encode()).hexdigest()[:16]}.json"
