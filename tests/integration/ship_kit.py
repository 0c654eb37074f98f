"""A pod without a kubelet: real `ship` processes, real FIFOs, and a process in main's place that holds the lifeline open."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import msgspec
import pytest

from datums.model import layout, manifest, plan, podpaths
from datums.model.commit import Commit
from datums.model.plan import ExecutionRef, OutputPlan, Plan, StoreAccess
from datums.stores.protocol import Store
from tests.integration.journal_reader import JournalReader
from tests.integration.s3_fixture import S3Server

SOURCE = Path(__file__).parents[2] / "operator"
# As `python -m datums.transfer.ship`, but that each pod has a port of its own: here they have one network for all.
_AT_PORT = """
import os, sys
from datums.model import podpaths
podpaths.AGENT_PORT = int(sys.argv[1])
from datums.transfer import ship
os._exit(ship.main())
"""
NAMESPACE = "churn"
NOBODY = 65534
# Another user may not be allowed to read this Python's files: everything is imported before it becomes that user.
_AS_USER = """
import encodings.idna, http.client, http.server, os, resource, sqlite3, sys, urllib.parse, urllib.request, xml.etree.ElementTree
import datums.stores.s3, datums.stores.s3_listing, datums.stores.s3_parts, datums.stores.s3_requests, datums.stores.upload
import datums.stores.libcurl, datums.transfer.local_agent, datums.transfer.pack, datums.transfer.shipment, subprocess
from datums.transfer import ship
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
os._exit(ship.main())
"""


def wait_for(condition: Callable[[], Any], seconds: float = 60.0, what: str = "") -> Any:
    """What the condition answers, once that is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what or condition}"
        time.sleep(0.005)
    return value


class ShipPod:
    """One attempt's pod below a directory.

    Args:
        store: the bucket, to look into.
        user: the uid that `ship` runs as; None for the test's own.
        packs: as in the plan.
    """

    def __init__(
        self,
        root: Path,
        server: S3Server,
        bucket: str,
        store: Store,
        *,
        user: int | None = None,
        packs: Literal["Auto", "Never"] = "Auto",
        **access: Any,
    ) -> None:
        self.root = root
        self.server = server
        self.bucket = bucket
        self.store = store
        self.user = user
        self.packs: Literal["Auto", "Never"] = packs
        self.outputs = self.at(podpaths.OUTPUTS_VOLUME) / podpaths.OUTPUTS_SUBPATH
        self.execution = ExecutionRef(namespace=NAMESPACE, name="train", uid=str(uuid4()), attempt=1)
        self.access = server.access(bucket, **({"credentials": "store-0.json"} | access))
        self.agent_url = ""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.agent_port: int = free.getsockname()[1]
        self.processes: list[subprocess.Popen[bytes]] = []
        self._lifeline: int | None = None
        self._journal = JournalReader(self.at(podpaths.STATE) / "journal.db", user)
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
            output=OutputPlan(store=self.access.name, packs=self.packs),
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
            how = ["-c", _AT_PORT, str(self.agent_port)] if self.user is None else ["-c", _AS_USER, str(self.user)]
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
        wait_for(lambda: self.ask("SELECT 1 FROM facts WHERE name = 'started'"), what="ship to see main")

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the journal answers; nothing where there is none yet."""
        return self._journal.ask(query, values)

    def is_saved(self, path: str) -> bool:
        """Whether a file of this path lies in the store."""
        return bool(self.ask("SELECT 1 FROM done WHERE path = ?", path))

    def log(self) -> str:
        log = self.root / "ship.log"
        return log.read_text() if log.exists() else ""

    def committed(self, seconds: float = 120.0) -> Commit:
        """The commit, once `ship` has given its verdict."""

        def verdict() -> bool:
            died = self.processes[-1].poll()
            assert died is None, f"ship ended with {died}:\n{self.log()}"
            return self.at(podpaths.VERDICT).exists()

        wait_for(verdict, seconds, "the verdict")
        return self.commit()

    def commit(self) -> Commit:
        return msgspec.json.decode(self.store.get(layout.commit_key(self.prefix)), type=Commit)

    def entries(self) -> list[manifest.Entry]:
        """The committed manifest's entries, verified: its digest, its counts, and the bytes of every file."""
        store, commit = self.store, self.commit()
        reader = manifest.Reader(store.stream(commit.outputs.manifest.key))
        found = list(reader)
        assert reader.summary == manifest.Summary(commit.outputs.manifest.sha256, commit.outputs.files, commit.outputs.bytes)
        return found

    def contents(self) -> dict[tuple[str, int], bytes]:
        """(path, sequence) → bytes as they lie in the bucket; each checked against its digest."""
        import hashlib

        store, found = self.store, {}
        for entry in self.entries():
            if entry.is_directory:
                continue
            assert entry.location is not None and entry.location.key.startswith(self.prefix)
            data = b"".join(bytes(chunk) for chunk in store.stream(entry.location.key, entry.location.offset, entry.size))
            if not entry.size:
                assert entry.location.offset or not store.get(entry.location.key)
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry.size, entry.sha256)
            assert (entry.path, entry.sequence) not in found
            found[entry.path, entry.sequence] = data
        return found

    def close(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
        self._journal.close()
        if self.processes:
            # Shown where the test has failed: a wait in vain may be for a `ship` that has ended.
            print(f"--- {self.root.name}, ended: {[process.poll() for process in self.processes]}\n{self.log()}")
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()


Pods: TypeAlias = Callable[..., ShipPod]


@pytest.fixture
def pods(s3_server: S3Server, bucket: str) -> Iterator[Pods]:
    """Makes pods, and ends what they run."""
    # Not tmp_path: other users may not look into that.
    root = Path(tempfile.mkdtemp(prefix="datums-ship-"))
    root.chmod(0o755)
    made: list[ShipPod] = []
    store = s3_server.open(bucket)

    def make(**options: Any) -> ShipPod:
        directory = root / f"pod-{len(made)}"
        directory.mkdir()
        pod = ShipPod(directory, s3_server, bucket, store, **options)
        made.append(pod)
        return pod

    yield make
    for pod in made:
        pod.close()
    shutil.rmtree(root)


@pytest.fixture(params=["as-is", "nobody"])
def pod(request: pytest.FixtureRequest, pods: Pods) -> ShipPod:
    """A pod whose `ship` runs as the test's user, and one whose `ship` runs as nobody."""
    if request.param == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    return pods(user=NOBODY if request.param == "nobody" else None)


def write(pod: ShipPod, path: str, data: bytes, mode: int = 0o644) -> Path:
    """As main does: by the user that `ship` runs as, too."""
    target = pod.outputs / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.chmod(mode)
    if pod.user is not None:
        for made in (target, *target.parents):
            if made == pod.outputs:
                break
            os.lchown(made, pod.user, pod.user)
    return target


def run_to_commit(pod: ShipPod) -> Any:
    pod.start()
    pod.main_starts()
    pod.main_was_seen()
    pod.main_ends()
    return pod.committed()


def problems(pod: ShipPod) -> dict[str, str]:
    return {problem.path: problem.message for problem in pod.commit().outputs.problems}
