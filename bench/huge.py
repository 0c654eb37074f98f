"""What does not fit into memory: one file of 200 GiB and a million of 1 KiB, for the sake of `fetch`'s and `ship`'s peak memory.

The large file is sparse, so that it fits on a disk. To load it, a file system of its own is made in a sparse image, and what
`fetch` has written is turned into holes behind it: all of it is zeros, so nothing that `fetch` reads again changes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench import ours
from bench.cases import Desk
from bench.measure import Cost
from bench.servers import null_server, tell_null
from bench.table import Row
from bench.workloads import Workload

_MEMORY: Final = 256.0
_PUNCH_HOLE: Final = 0x02 | 0x01  # and keep the size
_EVERY_SECONDS: Final = 0.5
_KEEP: Final = r"(\.tar|commit\.json|\.jsonl\.zst|/sets/.*)$"


def many(desk: Desk, quick: bool) -> list[Row]:
    """1,000,000 × 1 KiB, as packs, out and in again."""
    work = Workload("50000x1KiB" if quick else "1000000x1KiB")
    source = desk.trees.of(work)
    try:
        with null_server() as server:
            tell_null(server, "keep", _KEEP)
            saves = ours.Pod(desk.scratch / "saves", server, desk.runtime, "Auto")
            put = saves.ship(source)
            commit = saves.commit(work)
            desk.trees.drop(work)
            get = ours.Pod(desk.scratch / "loads", server, desk.runtime).fetch(ours.saved(commit))
    finally:
        desk.trees.drop(work)
        for name in ("saves", "loads"):
            shutil.rmtree(desk.scratch / name, ignore_errors=True)
    return _rows(work, put, get)


def large(desk: Desk, quick: bool) -> list[Row]:
    """1 × 200 GiB, sparse, out and in. Loading it needs root, for the mount."""
    work = Workload("1x2GiB-zeros" if quick else "1x200GiB-zeros")
    source = desk.trees.of(work)
    with null_server() as server:
        pod = ours.Pod(desk.scratch / "saves", server, desk.runtime)
        put = pod.ship(source)
        pod.commit(work)
        desk.trees.drop(work)
        shutil.rmtree(desk.scratch / "saves")
        with _sink(desk.scratch, work) as sink, desk.runtime.sees(sink):
            get = ours.Pod(sink / "loads", server, desk.runtime).fetch(ours.raw(work))
    return _rows(work, put, get)


def _rows(work: Workload, put: Cost, get: Cost) -> list[Row]:
    rows = []
    for program, cost in (("ship", put), ("fetch", get)):
        rows.append(Row(f"{program}: {work.title}", "s", cost.seconds, cpu=cost.cpu, mib=cost.mib))
        rows.append(Row(f"{program}: {work.title}: peak memory", "MiB", cost.mib, None, _MEMORY))
    return rows


@contextlib.contextmanager
def _sink(scratch: Path, work: Workload) -> Iterator[Path]:
    """A file system on which a file of zeros takes next to no room."""
    image = scratch / "sink.img"
    with image.open("wb") as file:
        file.truncate(work.size + work.size // 4 + (1 << 30))
    place = Path(tempfile.mkdtemp(prefix="datums-bench-sink-"))
    options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "sparse_super2,^resize_inode", "-E", options, image], check=True)
    subprocess.run(["mount", "-o", "loop,discard,data=writeback", image, place], check=True)
    ended = threading.Event()
    puncher = threading.Thread(target=_punch, args=(place, ended), daemon=True)
    puncher.start()
    try:
        yield place
    finally:
        ended.set()
        puncher.join()
        subprocess.run(["umount", place], check=True)
        place.rmdir()
        image.unlink()


def _punch(root: Path, ended: threading.Event) -> None:
    """Turns all large files below a directory into holes, again and again."""
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while not ended.wait(_EVERY_SECONDS):
        for directory, _, names in os.walk(root):
            for name in names:
                with contextlib.suppress(OSError), Path(directory, name).open("r+b") as file:
                    size = os.fstat(file.fileno()).st_size
                    if size >= 1 << 30 and os.fstat(file.fileno()).st_blocks:
                        fallocate(file.fileno(), _PUNCH_HOLE, 0, size)
