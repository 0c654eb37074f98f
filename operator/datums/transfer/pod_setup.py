"""What a pod's containers share besides files: static tools, FIFOs, directories that every user may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from datums.model import podpaths

TOOLS: Final = (Path(podpaths.BUSYBOX).name, Path(podpaths.TINI).name)
FIFOS: Final = (Path(podpaths.LIFELINE).name, Path(podpaths.STOP).name, Path(podpaths.GATE).name)


def prepare_run(run: Path, tools: Path) -> None:
    """Copies the tools and makes the FIFOs. What an earlier run has left is kept if it is whole.

    Raises:
        OSError: a tool is missing, or the directory cannot be written.
    """
    run.mkdir(parents=True, exist_ok=True)
    for name in TOOLS:
        _copy(tools / name, run / name)
    for name in FIFOS:
        _fifo(run / name)


def make_directories(base: Path, names: Iterable[str]) -> None:
    """Makes the directories, and those above them, below `base`."""
    for name in names:
        (base / name).mkdir(parents=True, exist_ok=True)


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    temporary = target.with_name(f".{target.name}")
    temporary.write_bytes(source.read_bytes())
    temporary.chmod(0o755)
    temporary.rename(target)


def _fifo(path: Path) -> None:
    try:
        os.mkfifo(path)
    except FileExistsError:
        if not stat.S_ISFIFO(path.lstat().st_mode):
            raise
    path.chmod(0o666)  # main may run as any user; mkfifo's own mode is cut by the umask
