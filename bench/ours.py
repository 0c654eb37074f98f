"""`fetch` and `ship` as the pod runs them, without a kubelet: real processes on the directories of a pod."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Any, Literal

import msgspec

from bench import measure
from bench.measure import Cost
from bench.peers import Rclone
from bench.runtime import Runtime
from bench.servers import BUCKET, Server
from bench.workloads import Workload
from datums.model import layout, podpaths
from datums.model import plan as plans
from datums.model.commit import Commit, FetchResult
from datums.model.plan import ExecutionRef, InputPlan, ObjectsSource, OutputPlan, Plan, SetSource, StoreAccess

_STORE = "bench/store"
_PREFIX = "datums"
_VERDICT_SECONDS = 1800.0
Packs = Literal["Auto", "Never"]


class Pod:
    """The directories of one attempt's pod below a root that does not exist yet.

    Args:
        access: fields of the StoreAccess that differ from those of a server of the benchmarks.
    """

    def __init__(self, root: Path, server: Server, runtime: Runtime, packs: Packs = "Never", **access: Any) -> None:
        self.root = root
        self._server = server
        self._runtime = runtime
        self._packs: Packs = packs
        self.execution = ExecutionRef(namespace="bench", name="run", uid=str(uuid.uuid4()), attempt=1)
        here: dict[str, Any] = {
            "kind": server.kind,
            "name": _STORE,
            "bucket": BUCKET,
            "account": server.account,
            "prefix": _PREFIX,
            "endpoint": server.endpoint,
            "region": "us-east-1" if server.kind == "s3" else "",
            "force_path_style": server.kind == "s3",
            "ca_bundle": server.ca.read_text() if server.ca else "",
            "readable": ["raw/"],
            "credentials": "store-0.json",
        }
        self.access = StoreAccess(**(here | access))
        for path in (podpaths.OUTPUTS_VOLUME, podpaths.RUN, podpaths.STATE, podpaths.SECRET, podpaths.PODINFO, "/dev", "/tools"):
            self.at(path).mkdir(parents=True)
        for path in (podpaths.LIFELINE, podpaths.STOP, podpaths.GATE):
            os.mkfifo(self.at(path))
        for name in ("busybox", "tini-static"):
            (self.at("/tools") / name).touch()
        (self.at(podpaths.SECRET) / "store-0.json").write_text(json.dumps(server.keys))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def inputs(self) -> Path:
        """Where `fetch` leaves the files of the input `bench`."""
        return self.at(podpaths.INPUTS) / "bench"

    @property
    def prefix(self) -> str:
        """Below this `ship` writes; ends in a slash."""
        ref = self.execution
        return layout.attempt_prefix(self.access.prefix, ref.namespace, ref.name, ref.uid, ref.attempt)

    def fetch(self, *sources: ObjectsSource | SetSource) -> Cost:
        """Loads one input of these sources, or nothing; from the process's start to its end.

        Raises:
            RuntimeError: it says that it failed.
        """
        inputs = [InputPlan(name="bench", input_id=str(uuid.uuid4()), sources=list(sources))] if sources else []
        self._plan(inputs)
        try:
            cost = measure.run([*self._runtime.python, "-m", "datums.transfer.fetch"], self._environment())
        except RuntimeError as error:
            log = self.at(podpaths.TERMINATION_LOG)
            raise RuntimeError(f"{error}\n{log.read_text() if log.exists() else ''}") from None
        result = msgspec.json.decode(self.at(podpaths.TERMINATION_LOG).read_bytes(), type=FetchResult)
        if result.reason:
            raise RuntimeError(f"fetch: {result.reason}: {result.message}")
        return cost

    def ship(self, outputs: Path) -> Cost:
        """Saves a directory of outputs of a main that has ended already; from the process's start to the verdict.

        The directory is moved into the pod and back. What `ship` does after the verdict (it waits for SIGTERM) counts as CPU, not
        as time.

        Raises:
            RuntimeError: there is no verdict.
        """
        self._plan([])
        self.at(podpaths.PODINFO_MAIN_ENDED).write_text("2026-01-01T00:00:00Z")
        self.at(podpaths.PODINFO_STOP).touch()
        inside = self.at(podpaths.OUTPUTS_VOLUME) / podpaths.OUTPUTS_SUBPATH
        outputs.rename(inside)
        gate = os.open(self.at(podpaths.GATE), os.O_RDWR | os.O_NONBLOCK)

        def verdict(process: subprocess.Popen[bytes]) -> None:
            ended = os.pidfd_open(process.pid)
            try:
                ready, _, _ = select.select([gate, ended], [], [], _VERDICT_SECONDS)
            finally:
                os.close(ended)
            if ended not in ready:  # not by Popen, which would take the process's end from `measure`
                os.kill(process.pid, signal.SIGTERM if gate in ready else signal.SIGKILL)

        try:
            return measure.run([*self._runtime.python, "-m", "datums.transfer.ship"], self._environment(), verdict)
        finally:
            os.close(gate)
            inside.rename(outputs)

    def commit(self, work: Workload) -> Commit:
        """The commit, as it lies in the store.

        Raises:
            RuntimeError: not all files of the workload are saved.
        """
        commit = msgspec.json.decode(Rclone("rclone").cat(self._server, layout.commit_key(self.prefix)), type=Commit)
        saved = commit.outputs
        if (saved.refused, saved.files, saved.bytes) != (0, work.count, work.count * work.size):
            raise RuntimeError(f"ship saved {saved.files} files of {work.title}, refused {saved.refused}: {saved.problems[:3]}")
        return commit

    def _plan(self, inputs: list[InputPlan]) -> None:
        document = Plan(
            execution=self.execution,
            stores={_STORE: self.access},
            output=OutputPlan(store=_STORE, packs=self._packs),
            inputs=inputs,
            provenance={"command": "true", "image": "bench"},
        )
        self.at(podpaths.PLAN).write_bytes(plans.encode(document))

    def _environment(self) -> dict[str, str]:
        return {**self._runtime.environment, "DATUMS_ROOT": str(self.root), "DATUMS_TOOLS": str(self.at("/tools"))}


def raw(work: Workload) -> ObjectsSource:
    """All objects of a workload, by a glob."""
    pattern = f"raw/{work.name}/*"
    return ObjectsSource(link=f"store://store/{pattern}", store=_STORE, pattern=pattern)


def saved(commit: Commit) -> SetSource:
    """All files that an attempt saved."""
    manifest = commit.outputs.manifest
    return SetSource(link=f"datum://{commit.set}", store=_STORE, manifest_key=manifest.key, manifest_sha256=manifest.sha256)
