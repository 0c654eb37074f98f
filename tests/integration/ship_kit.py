"""A pod without a kubelet: real `ship` processes, real FIFOs, and a process in main's place that holds the lifeline open."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from datums.model import layout, manifest, plan, podpaths
from datums.model.commit import Commit
from datums.model.plan import ExecutionRef, OutputPlan, Plan, StoreAccess
from tests.integration.s3_fixture import S3Server

SOURCE = Path(__file__).parents[2] / "operator"
NAMESPACE = "churn"
# Another user may not be allowed to read this Python's files: everything is imported before it becomes that user.
_AS_USER = """
import http.client, http.server, os, sys, urllib.parse
import datums.stores.s3, datums.transfer.local_agent, datums.transfer.shipment
from datums.transfer import ship
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
os._exit(ship.main())
"""


def wait_for(condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """What the condition answers, once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.005)
    return value


class ShipPod:
    """One attempt's pod below a directory.

    Args:
        user: the uid that `ship` runs as; None for the test's own.
    """

    def __init__(self, root: Path, server: S3Server, bucket: str, *, user: int | None = None, **access: Any) -> None:
        self.root = root
        self.server = server
        self.bucket = bucket
        self.user = user
        self.outputs = self.at(podpaths.OUTPUTS_VOLUME) / podpaths.OUTPUTS_SUBPATH
        self.execution = ExecutionRef(namespace=NAMESPACE, name="train", uid=str(uuid4()), attempt=1)
        self.access = server.access(bucket, **({"credentials": "store-0.json"} | access))
        self.agent_url = ""
        self.processes: list[subprocess.Popen[bytes]] = []
        self._lifeline: int | None = None
        for path in (podpaths.OUTPUTS_VOLUME, podpaths.RUN, podpaths.STATE, podpaths.SECRET, podpaths.PODINFO):
            self.at(path).mkdir(parents=True)
        self.outputs.mkdir()
        for path in (podpaths.LIFELINE, podpaths.STOP, podpaths.GATE):
            os.mkfifo(self.at(path))
        for path in (podpaths.PODINFO_STOP, podpaths.PODINFO_MAIN_ENDED):
            self.at(path).touch()
        self.at(podpaths.TOKEN).parent.mkdir()
        self.at(podpaths.TOKEN).write_text("a-token")
        self.write_secret(server.keys["admin"])
        if user is not None:
            for directory, _, files in os.walk(root):
                os.chown(directory, user, user)
                for name in files:
                    os.chown(Path(directory, name), user, user)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def prefix(self) -> str:
        ref = self.execution
        return layout.attempt_prefix(self.access.prefix, ref.namespace, ref.name, ref.uid, ref.attempt)

    def write_secret(self, keys: dict[str, str], access: StoreAccess | None = None) -> None:
        document = Plan(
            execution=self.execution,
            stores={self.access.name: access or self.access},
            output=OutputPlan(store=self.access.name),
            provenance={"command": "true", "image": "debian"},
            agent_url=self.agent_url,
        )
        self.at(podpaths.PLAN).write_bytes(plan.encode(document))
        fresh = self.at(podpaths.SECRET) / ".fresh"
        fresh.write_text(json.dumps(keys))
        fresh.rename(self.at(podpaths.SECRET) / "store-0.json")

    def start(self) -> subprocess.Popen[bytes]:
        """A new life of `ship`."""
        environment = os.environ | {"DATUMS_ROOT": str(self.root), "PYTHONPATH": str(SOURCE)}
        with (self.root / "ship.log").open("ab") as log:
            how = ["-m", "datums.transfer.ship"] if self.user is None else ["-c", _AS_USER, str(self.user)]
            process = subprocess.Popen([sys.executable, *how], env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def kill(self) -> None:
        """SIGKILL for the latest life."""
        self.processes[-1].send_signal(signal.SIGKILL)
        self.processes[-1].wait()

    def main_starts(self) -> None:
        self._lifeline = os.open(self.at(podpaths.LIFELINE), os.O_RDWR)
        os.write(self._lifeline, b"started\n")

    def main_ends(self) -> None:
        assert self._lifeline is not None
        os.close(self._lifeline)
        self._lifeline = None

    def main_was_seen(self) -> None:
        wait_for(lambda: "started" in self.journal(), what="ship to see main")

    def journal(self) -> str:
        path = self.at(podpaths.STATE) / "journal.jsonl"
        return path.read_text() if path.exists() else ""

    def log(self) -> str:
        return (self.root / "ship.log").read_text()

    def committed(self, seconds: float = 30.0) -> Commit:
        """The commit, once `ship` has given its verdict."""

        def verdict() -> bool:
            died = self.processes[-1].poll()
            assert died is None, f"ship ended with {died}:\n{self.log()}"
            return self.at(podpaths.VERDICT).exists()

        wait_for(verdict, seconds, "the verdict")
        return self.commit()

    def commit(self) -> Commit:
        return msgspec.json.decode(self.server.open(self.bucket).get(layout.commit_key(self.prefix)), type=Commit)

    def entries(self) -> list[manifest.Entry]:
        """The committed manifest's entries, verified: its digest, its counts, and the bytes of every file."""
        store, commit = self.server.open(self.bucket), self.commit()
        reader = manifest.Reader(store.stream(commit.outputs.manifest.key))
        found = list(reader)
        assert reader.summary == manifest.Summary(commit.outputs.manifest.sha256, commit.outputs.files, commit.outputs.bytes)
        return found

    def contents(self) -> dict[tuple[str, int], bytes]:
        """(path, sequence) → bytes as they lie in the bucket; each checked against its digest."""
        import hashlib

        store, found = self.server.open(self.bucket), {}
        for entry in self.entries():
            if entry.is_directory:
                continue
            assert entry.location is not None and entry.location.key.startswith(self.prefix)
            data = (
                b"".join(store.stream(entry.location.key, 0, entry.size or None)) if entry.size else store.get(entry.location.key)
            )
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.size, entry.sha256)
            assert (entry.path, entry.sequence) not in found
            found[entry.path, entry.sequence] = data
        return found

    def close(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


def pods(root: Path, server: S3Server, bucket: str) -> Iterator[Callable[..., ShipPod]]:
    """Makes pods, and ends what they run."""
    made: list[ShipPod] = []

    def make(**options: Any) -> ShipPod:
        directory = root / f"pod-{len(made)}"
        directory.mkdir()
        pod = ShipPod(directory, server, bucket, **options)
        made.append(pod)
        return pod

    yield make
    for pod in made:
        pod.close()
