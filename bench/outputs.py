"""`python -m bench.outputs`: one Execution on the cluster that leaves many small files: when its verdict comes after main's end."""

from __future__ import annotations

import argparse
import json
import re
import uuid

from kubernetes import client

from bench import phases, site
from bench.runs import Runner
from bench.table import Row, show, write

_WRITE = """python3 - <<END
import os
block = os.urandom(1 << 20)
for n in range({count}):
    if n % 1000 == 0:
        os.makedirs(f'/valohai/outputs/{{n // 1000:03}}', exist_ok=True)
    start = n * 4099 % (1 << 19)
    with open(f'/valohai/outputs/{{n // 1000:03}}/{{n:06}}', 'wb', buffering=0) as file:
        file.write(block[start : start + {size}])
END"""
_S3 = "datums-s3"
_METRICS = 9327


def main() -> None:
    """Measures, prints the table and writes bench/out/outputs.json."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--files", type=int, default=100_000, help="how many files of 10 KiB (default %(default)s)")
    files = arguments.parse_args().files
    place = site.prepare()
    runner = Runner(place.namespace)
    name = f"outputs-{uuid.uuid4().hex[:4]}"
    runner.executions([f"warm-{name}"])
    before = s3_requests()
    with phases.Milestones(place.namespace) as milestones:
        taken = runner.executions([name], command=_WRITE.format(count=files, size=10 << 10))[0]
    found = runner.get(name)
    saved = found["status"]["outputs"]["files"]
    if saved != files:
        raise RuntimeError(f"{name} saved {saved} of {files} files")
    tail = runner.started[name] + taken - milestones.of(name)["main ended"]
    work = f"{files:,} × 10 KiB"
    rows = [
        Row(f"{work} out: main's end to Succeeded", "s", tail, None, 60),
        Row(f"{work} out: create to Succeeded", "s", taken),
        Row(f"{work} out: requests to the store", "", s3_requests() - before, None, files / 100),
        Row(f"{work} out: the Execution object", "B", len(json.dumps(found)), None, 6144),
    ]
    show("An Execution that leaves many files", rows)
    print(f"\nwritten: {write('outputs', rows)}")


def s3_requests() -> float:
    """Requests that the testbed's S3 server has had so far."""
    core = client.CoreV1Api()
    pod = core.list_namespaced_pod(_S3, label_selector="app=seaweedfs").items[0].metadata.name
    text = core.connect_get_namespaced_pod_proxy_with_path(f"{pod}:{_METRICS}", _S3, "metrics")
    return sum(float(count) for count in re.findall(r"^SeaweedFS_s3_request_total\{[^}]*\} (\S+)$", text, re.MULTILINE))


if __name__ == "__main__":
    main()
