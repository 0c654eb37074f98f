"""The rows that have a story of their own: packs, nothing to do, a service that asks to slow down."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable

from bench import huge as huge_rows
from bench import ours
from bench.cases import OURS, Bench, Case, Desk, Direction
from bench.peers import Rclone, S5cmd
from bench.places import MANY, PLACES, QUICK, Place
from bench.servers import certificates, null_server, tell_null
from bench.table import Row
from bench.workloads import Workload

_KEEP = r"(\.tar|commit\.json|\.jsonl\.zst|/sets/.*)$"
_STORM = 400.0


def measure(desk: Desk, only: re.Pattern[str], *, quick: bool, huge: bool) -> list[Row]:
    """The rows whose names `only` finds."""
    stories: dict[str, Callable[[Desk, bool], list[Row]]] = {
        "packs null": lambda *how: packs(PLACES[0], *how),
        "packs seaweed": lambda *how: packs(next(place for place in PLACES if place.name == "seaweed"), *how),
        "idle": idle,
        "storm": storm,
    }
    if huge:
        stories = {"many": huge_rows.many, "large": huge_rows.large}
    rows = []
    for name, story in stories.items():
        if only.search(name):
            made = story(desk, quick)
            for row in made:
                print(f"{row.name}: {row.ours:.2f} {row.unit}" + (f" beside {row.beside:.2f}" if row.beside else ""), flush=True)
            rows += made
    return rows


def packs(place: Place, desk: Desk, quick: bool) -> list[Row]:
    """Small files as packs, saved and loaded, beside the fastest peer that moves each as an object of its own."""
    work = Workload(QUICK[MANY] if quick else MANY)
    source = desk.trees.of(work)
    put, get = Case(place, work, "put"), Case(place, work, "get")
    with certificates() as tls, place.open(tls) as server:
        bench = Bench(place, server, desk)
        if server.virtual:
            tell_null(server, "keep", _KEEP)
        else:
            Rclone("rclone").put(server, source, f"raw/{work.name}/", work)
        peers = [Rclone("rclone"), S5cmd("s5cmd")]
        for n in range(1 if quick else 2):
            for peer in peers:
                bench.settle(work)
                put.add(peer.name, peer.put(server, source, f"put/{peer.name}-{n}/", work))
                with bench.directory() as target:
                    target.mkdir()
                    get.add(peer.name, peer.get(server, f"raw/{work.name}/", target, work))
            bench.settle(work)
            with bench.directory() as root:
                pod = bench.pod(root / "saves", "Auto")
                put.add(OURS, pod.ship(source))
                get.add(OURS, bench.pod(root / "loads").fetch(ours.saved(pod.commit(work))))
    return [_beside(case, f"{case.title}, as packs", 0.25) for case in (put, get)]


def _beside(case: Case, title: str, target: float) -> Row:
    mine, peer = case.cost(OURS), case.cost(case.fastest)
    costs = {"cpu": mine.cpu, "beside_cpu": peer.cpu, "mib": mine.mib, "busy": mine.busy}
    return Row(title, "s", mine.seconds, peer.seconds, target, peer=case.fastest, **costs)


def idle(desk: Desk, quick: bool) -> list[Row]:
    """`fetch` of an execution without inputs."""
    costs = []
    with null_server() as server:
        for n in range(3 if quick else 7):
            costs.append(ours.Pod(desk.scratch / f"idle-{n}", server, desk.runtime).fetch())
    seconds, cpu = (statistics.median(cost[i] for cost in costs) for i in (0, 1))
    return [Row("fetch with nothing to do", "s", seconds, None, 0.4, cpu=cpu, mib=max(cost.mib for cost in costs))]


def storm(desk: Desk, quick: bool) -> list[Row]:
    """Small files against a service that answers 503 above 400 requests a second. Beside: the time that this rate allows."""
    work = Workload("1000x10KiB" if quick else "4000x10KiB")
    place = PLACES[0]
    rows = []
    with null_server() as server:
        bench = Bench(place, server, desk)
        directions: tuple[Direction, ...] = ("get", "put")
        for direction in directions:
            with bench.directory() as root:
                pod = bench.pod(root)
                tell_null(server, "reset")
                tell_null(server, "storm", str(_STORM))
                mine = pod.fetch(ours.raw(work)) if direction == "get" else pod.ship(desk.trees.of(work))
                tell_null(server, "storm", "0")
                counts = json.loads(tell_null(server, "counts"))
                if direction == "put":
                    pod.commit(work)
            allowed = (counts["requests"] - counts["refused"]) / _STORM
            title = f"{direction.upper()} {work.title}, 503 above {_STORM:.0f}/s"
            rows += [
                Row(title, "s", mine.seconds, allowed, 1.5, peer="the limit", cpu=mine.cpu, mib=mine.mib),
                Row(f"{title}: refused requests per file", "", counts["refused"] / work.count, None, 0.25),
            ]
    return rows
