"""Which files are moved, and where they lie on this machine."""

from __future__ import annotations

import os
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_UNITS: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Workload:
    """So many files of one size, by the name that the null server knows them by too: `4000x10KiB`."""

    name: str

    @property
    def count(self) -> int:
        return int(self._match[1])

    @property
    def size(self) -> int:
        """Bytes of each file."""
        return int(self._match[2]) * _UNITS[self._match[3]]

    @property
    def sparse(self) -> bool:
        return bool(self._match[4])

    @property
    def is_small(self) -> bool:
        return self.size <= 1 << 20

    @property
    def title(self) -> str:
        return f"{self.count:,} × {self._match[2]} {self._match[3]}{' sparse' if self.sparse else ''}"

    @property
    def _match(self) -> re.Match[str]:
        found = re.fullmatch(r"(\d+)x(\d+)(B|KiB|MiB|GiB)(-zeros)?", self.name)
        if found is None:
            raise ValueError(f"{self.name!r} is no workload: such as 4000x10KiB, 200x10MiB, 1x200GiB-zeros")
        return found


class Trees:
    """The source files of workloads below a directory; made once, then kept until it is removed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def of(self, work: Workload) -> Path:
        """A directory with the files of a workload and nothing else."""
        target = self._root / work.name
        if target.exists():
            return target
        fresh = self._root / f".{work.name}"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        block = random.Random(work.name).randbytes(_BLOCK)
        for n in range(work.count):
            _write(fresh / f"{n:07}", work, block, n)
        fresh.rename(target)
        return target

    def drop(self, work: Workload) -> None:
        shutil.rmtree(self._root / work.name, ignore_errors=True)


def _write(path: Path, work: Workload, block: bytes, n: int) -> None:
    with path.open("wb", buffering=0) as file:
        if work.sparse:
            os.truncate(file.fileno(), work.size)
            return
        left, start = work.size, (n * 4099) % (_BLOCK // 2)
        while left:
            piece = memoryview(block)[start : start + min(left, _BLOCK - start)]
            file.write(piece)
            left -= len(piece)
            start = 0


def count_files(root: Path) -> tuple[int, int]:
    """(files, bytes) below a directory."""
    files = size = 0
    for directory, _, names in os.walk(root):
        for name in names:
            files += 1
            size += os.stat(os.path.join(directory, name)).st_size  # noqa: PTH116, PTH118  a million times
    return files, size
