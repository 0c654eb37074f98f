"""`python -m bench.transfer`: `fetch` and `ship` beside rclone, s5cmd and boto3, on the same files, machine and servers.

Prints tables and writes bench/out/transfer.json. Ours are the real processes: `fetch` from its start to its end; `ship` from its
start, with a main that has ended, to its verdict (what it saves while main runs is left out). Peers: from start to end.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import special
from bench.cases import OURS, Bench, Case, Desk
from bench.places import PLACES, QUICK, Place
from bench.runtime import Runtime, of_checkout, of_image
from bench.servers import Certificates, certificates
from bench.table import OUT, Row, show
from bench.workloads import Trees, Workload
from testbed.errors import SetupError

_SHM = Path("/dev/shm")
_ROOM = 10 << 30


def main() -> None:
    """Measures, prints the tables and writes bench/out/transfer.json."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="", help="a regular expression on '<place> <get|put> <files>' or a special row's name")
    arguments.add_argument("--quick", action="store_true", help="fewer and smaller files, one round: to try the harness")
    arguments.add_argument("--full", action="store_true", help="every size at every place; an hour")
    arguments.add_argument("--huge", action="store_true", help="the rows of 200 GiB and of 1,000,000 files alone")
    arguments.add_argument("--rounds", type=int, help="how often each tool runs (default: 2 or 3)")
    arguments.add_argument("--work", type=Path, help="a directory for the files (default: in memory, where there are 10 GiB)")
    arguments.add_argument("--source", type=Path, help="the operator/ of a checkout, run by this Python in place of the image")
    options = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what removes files and ends servers
    started = time.monotonic()
    rows: list[Row] = []
    cases: list[Case] = []
    only = re.compile(options.only)
    with certificates() as tls, _scratch(options.work) as scratch, _runtime(options.source, scratch) as runtime:
        by = runtime.title
        print(f"fetch and ship: {by}", flush=True)
        desk = Desk(scratch, Trees(scratch / "source"), runtime)
        for place in () if options.huge else PLACES:
            found = list(_measure(place, tls, desk, options, only))
            cases += found
            show(place.title, made := [row for case in found for row in case.rows()]) if found else None
            rows += made if found else []
        extra = special.measure(desk, only, quick=options.quick, huge=options.huge)
        if extra:
            show("Packs, memory, back-off", extra)
        rows += [*extra, *_memory(cases)]
    OUT.mkdir(exist_ok=True)
    path = OUT / "transfer.json"
    document = {"by": by, "rows": [row.json() for row in rows], "cases": [case.json() for case in cases]}
    path.write_text(json.dumps(document, indent=1) + "\n")
    missed = [row for row in rows if row.met is False]
    if missed:
        show("Missed", missed)
    print(f"\n{len(rows)} rows, {len(missed)} missed, {(time.monotonic() - started) / 60:.0f} minutes; written: {path}")


def _measure(place: Place, tls: Certificates, desk: Desk, options: argparse.Namespace, only: re.Pattern[str]) -> Iterator[Case]:
    for full in place.workloads(full=options.full):
        work = Workload(QUICK.get(full.name, full.name)) if options.quick else full
        wanted = [d for d in ("get", "put") if only.search(f"{place.name} {d} {full.name}")]
        if not wanted:
            continue
        # A server for each workload: what SeaweedFS was given stays on the disk as long as it runs.
        with place.open(tls) as server:
            bench = Bench(place, server, desk)
            for direction in ("get", "put"):
                if direction in wanted:
                    rounds = options.rounds or (1 if options.quick else place.rounds)
                    case = bench.measure(work, direction, rounds, boto3=full.name in place.boto3)
                    print(f"{case.title}: {_line(case)}", flush=True)
                    yield case


def _line(case: Case) -> str:
    return ", ".join(f"{tool} {case.cost(tool).seconds:.2f} s ({case.cost(tool).cpu:.2f} CPU)" for tool in case.costs)


def _memory(cases: Sequence[Case]) -> list[Row]:
    """The highest peak of each of our programs."""
    rows = []
    for program, direction in (("fetch", "get"), ("ship", "put")):
        peaks = [case.cost(OURS).mib for case in cases if case.direction == direction]
        if peaks:
            rows.append(Row(f"peak memory of {program}, highest of all rows", "MiB", max(peaks), None, 256))
    return rows


@contextmanager
def _runtime(source: Path | None, scratch: Path) -> Iterator[Runtime]:
    """What runs `fetch` and `ship`."""
    if source is not None:
        yield of_checkout(source)
        return
    with of_image() as runtime, runtime.sees(scratch):
        yield runtime


@contextmanager
def _scratch(work: Path | None) -> Iterator[Path]:
    """A directory that is removed at the end."""
    if work is None and _SHM.is_dir() and shutil.disk_usage(_SHM).free > _ROOM:
        work = _SHM
    made = Path(tempfile.mkdtemp(prefix="datums-bench-", dir=work))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"error: {error}")
