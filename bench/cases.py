"""Measures one case (some files, one direction, one place) by every tool in turn."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench import ours
from bench.measure import Cost
from bench.peers import Peer, Rclone, peers_of, sha256sum
from bench.places import Place
from bench.runtime import Runtime
from bench.servers import Server
from bench.table import Row
from bench.workloads import Trees, Workload, count_files

Direction = Literal["get", "put"]
OURS, CHECK = "datums", "sha256sum"
_MORE_MEMORY = 512 << 20


@dataclass
class Case:
    """What was measured of a case: of each tool the costs of its runs."""

    place: Place
    work: Workload
    direction: Direction
    costs: dict[str, list[Cost]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.direction.upper()} {self.work.title}, {self.place.title}"

    def add(self, tool: str, cost: Cost) -> None:
        self.costs.setdefault(tool, []).append(cost)

    def cost(self, tool: str) -> Cost:
        """Medians, but the highest peak of memory."""
        runs = self.costs[tool]
        seconds, cpu, busy = map(statistics.median, zip(*((run.seconds, run.cpu, run.busy) for run in runs), strict=True))
        return Cost(seconds, cpu, max(run.mib for run in runs), busy)

    @property
    def fastest(self) -> str:
        """The fastest peer."""
        peers = self.costs.keys() - {OURS, CHECK}
        return min(peers, key=lambda tool: self.cost(tool).seconds)

    def rows(self) -> list[Row]:
        """Ours beside the fastest peer, and beside it with `sha256sum` of all files."""
        mine, peer, check = self.cost(OURS), self.cost(self.fastest), self.cost(CHECK)
        certain = peer.seconds + check.seconds
        costs = {"cpu": mine.cpu, "mib": mine.mib, "busy": mine.busy}
        return [
            Row(
                self.title, "s", mine.seconds, peer.seconds, self.place.target(self.work, mine.busy),
                peer=self.fastest, beside_cpu=peer.cpu, **costs,
            ),
            Row(
                f"{self.title}, as certain", "s", mine.seconds, certain, 1.0,
                peer=f"{self.fastest} + {CHECK}", beside_cpu=peer.cpu + check.cpu, **costs,
            ),
        ]  # fmt: skip

    def json(self) -> dict[str, object]:
        """Every run."""
        runs = {tool: [[round(value, 3) for value in run] for run in costs] for tool, costs in self.costs.items()}
        return {"name": self.title, "runs": runs}


@dataclass(frozen=True)
class Desk:
    """What all that is measured has in common."""

    scratch: Path
    """A directory, to be left as it was."""
    trees: Trees
    runtime: Runtime


class Bench:
    """Measures on one server."""

    def __init__(self, place: Place, server: Server, desk: Desk) -> None:
        self._place = place
        self._server = server
        self._scratch = desk.scratch
        self._trees = desk.trees
        self._runtime = desk.runtime
        self._serial = 0

    def measure(self, work: Workload, direction: Direction, rounds: int, *, boto3: bool) -> Case:
        """Runs every tool, in another order in every round; boto3 small files in the first only."""
        case = Case(self._place, work, direction)
        workers = self._place.workers
        if direction == "get" and not self._server.virtual:
            Rclone("rclone", workers).put(self._server, self._trees.of(work), f"raw/{work.name}/", work)
        for n in range(rounds):
            tools: list[Peer | None] = [None, *peers_of(self._server, workers, sdk=boto3 and not (n and work.is_small))]
            for tool in tools[n % 3 :] + tools[: n % 3]:
                if direction == "get":
                    self._get(case, tool)
                else:
                    self._put(case, tool)
        return case

    def settle(self, work: Workload) -> None:
        """Has no write to the disk left over, and as much memory at hand as the files take: to be called before each run of a tool.

        A virtual machine gives memory that nobody uses back to its host, within seconds. To touch it again costs as much as a
        transfer does, and whoever runs first would pay for all.
        """
        os.sync()
        path, block = self._scratch / "touched", bytes(1 << 20)
        with path.open("wb", buffering=0) as file:
            for _ in range((work.count * work.size + _MORE_MEMORY) >> 20):
                file.write(block)
        path.unlink()

    def _get(self, case: Case, tool: Peer | None) -> None:
        self.settle(case.work)
        with self.directory() as place:
            if tool is None:
                pod = self.pod(place / "pod", concurrency=self._flying(case.work))
                case.add(OURS, pod.fetch(ours.raw(case.work)))
                _check(pod.inputs, case.work)
            else:
                place.mkdir()
                case.add(tool.name, tool.get(self._server, f"raw/{case.work.name}/", place, case.work))
                _check(place, case.work)
                if isinstance(tool, Rclone):
                    case.add(CHECK, sha256sum(place))

    def _put(self, case: Case, tool: Peer | None) -> None:
        source = self._trees.of(case.work)
        self.settle(case.work)
        if tool is None:
            with self.directory() as place:
                pod = self.pod(place / "pod", concurrency=self._flying(case.work))
                case.add(OURS, pod.ship(source))
                pod.commit(case.work)
        else:
            self._serial += 1
            case.add(tool.name, tool.put(self._server, source, f"put/{self._serial}/", case.work))
            if isinstance(tool, Rclone):
                case.add(CHECK, sha256sum(source))

    def pod(self, root: Path, packs: ours.Packs = "Never", *, concurrency: int = 16) -> ours.Pod:
        """A pod.

        Args:
            concurrency: as a DataStore has it, requests in flight.
        """
        return ours.Pod(root, self._server, self._runtime, packs, concurrency=concurrency)

    def _flying(self, work: Workload) -> int:
        """As many requests as s5cmd with small files, else the usual number."""
        return max(64, self._place.workers) if work.is_small else 16

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """The name of a directory that is gone afterwards."""
        target = self._scratch / "run"
        try:
            yield target
        finally:
            shutil.rmtree(target, ignore_errors=True)


def _check(root: Path, work: Workload) -> None:
    found = count_files(root)
    if found != (work.count, work.count * work.size):
        raise RuntimeError(f"{root} holds {found[0]} files and {found[1]} bytes instead of {work.title}")
