"""`python -m bench.execution`: an Execution beside a bare Pod of the same image that does the same.

On the testbed's cluster (or, with CLUSTER=current, on the one that KUBECONFIG names), with the operator installed by its chart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import uuid

from bench import phases, site
from bench.runs import Runner
from bench.table import Row, show, write


def main() -> None:
    """Measures, prints the table and writes bench/out/execution.json."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--each", type=int, default=10, help="how many one after the other (default %(default)s)")
    arguments.add_argument("--burst", type=int, default=50, help="how many at once (default %(default)s)")
    options = arguments.parse_args()

    place = site.prepare()
    runner = Runner(place.namespace)
    mark = uuid.uuid4().hex[:4]
    put = {"command": "head -c 1024 /dev/zero > /valohai/outputs/kib"}
    both = {**put, "inputs": [{"name": "kib", "link": place.kib_link}]}

    print(f"one after the other, {options.each} of each in turn …", flush=True)
    runner.pods([f"warm-{mark}"])
    runner.executions([f"warm-{mark}"], **both)
    pods, plain, files = [], [], []
    with phases.Milestones(place.namespace) as milestones:
        for i in range(options.each):
            pods += runner.pods([f"pod-{mark}-{i}"])
            plain += runner.executions([f"plain-{mark}-{i}"])
            files += runner.executions([f"files-{mark}-{i}"], **both)
    runs = [followed(runner, milestones, f"files-{mark}-{i}", seconds) for i, seconds in enumerate(files)]

    print(f"{options.burst} at once …", flush=True)
    pods_burst = max(runner.pods([f"burst-{mark}-{i}" for i in range(options.burst)]))
    runner_settles()
    cpu_before = place.operator_cpu()
    burst = max(runner.executions([f"burst-{mark}-{i}" for i in range(options.burst)]))
    runner_settles()
    cpu = (place.operator_cpu() - cpu_before) / options.burst * 1000
    burst_files = max(runner.executions([f"files-burst-{mark}-{i}" for i in range(options.burst)], **both))

    sizes = [object_size(runner, f"size-{mark}-{count}", count) for count in (3, 3000)]
    median = statistics.median
    rows = [
        Row("create to done, one after the other: `true`", "s", median(plain), median(pods), 1.7),
        Row("create to done, one after the other: 1 KiB in, 1 KiB out", "s", median(files), median(pods), 1.7),
        Row(f"create to done, {options.burst} at once: `true`", "s", burst, pods_burst, 2.6),
        Row(f"create to done, {options.burst} at once: 1 KiB in, 1 KiB out", "s", burst_files, pods_burst, 2.6),
        Row("operator CPU per execution", "ms", cpu, None, 30),
        Row("operator resident memory", "MiB", place.operator_memory() / 2**20, None, 150),
        Row("Execution object with 3 outputs", "B", sizes[0], None, 6144),
        Row("Execution object with 3,000 outputs", "B", sizes[1], None, 6144),
    ]
    show("An Execution beside a bare Pod (median of the one after the other; the last of those at once)", rows)
    phases.show(runs)
    print(f"\nwritten: {write('execution', rows)}")


def runner_settles() -> None:
    """Lets what the last burst left behind (pods winding down) end, so that it does not burden the next."""
    time.sleep(15)


def object_size(runner: Runner, name: str, count: int) -> int:
    """Bytes of the Execution's JSON, as the API server answers it, after saving `count` files."""
    runner.executions([name], command=f"cd /valohai/outputs; for i in $(seq {count}); do echo $i > $i; done")
    return len(json.dumps(runner.get(name)))


def followed(runner: Runner, milestones: phases.Milestones, name: str, seconds: float) -> dict[str, float]:
    """When an execution passed what, from its creation to its verdict."""
    created = runner.started[name]
    return {"created": created, **milestones.of(name), "verdict": created + seconds}


if __name__ == "__main__":
    main()
