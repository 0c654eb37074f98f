"""A project on a real API server and a real S3 server, in which the test plays the kubelet and what runs in pods.

The operator's part is the real reconcilers on the real API server. Every `step` is a new operator process, which knows nothing but
what it lists: so each test is a test of restarts too.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from datums.api.names import LABEL_MANAGED_BY, MANAGED_BY
from datums.control.cache import Cache
from datums.control.datastores import DataStoreReconciler
from datums.control.executions import ExecutionReconciler
from datums.control.intake import Intake
from datums.control.kube import DATASTORES, DATUMS, EXECUTIONS, PODS, SECRETS, Kube, NotFound, Obj
from datums.control.metrics import Metrics
from datums.control.queue import Key, Queue
from datums.control.recorder import Recorder
from datums.control.resources import Resource
from datums.control.services import Services
from datums.control.settings import Settings
from datums.control.store_pool import StorePool
from datums.model import ids, layout, manifest
from datums.model import plan as plans
from datums.model.commit import Commit, ManifestRef, Pinned, Problem, Report, Resolved, Saved, SetIndex
from datums.stores import open_store

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
NODE = "node-1"
FILES = {"a.txt": b"a", "dir/b.txt": b"bb"}


class Crash(BaseException):
    """The operator process dies here."""


class CrashingKube(Kube):
    """The real seam, in a process that dies around its n-th call."""

    def __init__(self, kube: Kube, call: int, *, done: bool) -> None:
        """
        Args:
            call: from 1.
            done: dies after the API server has answered, instead of before it is asked.
        """
        self.__dict__.update(kube.__dict__)
        self._left, self._done, self.calls = call, done, 0

    async def _call(self, *args: Any, **options: Any) -> Obj:
        self.calls += 1
        if self.calls == self._left and not self._done:
            raise Crash
        answer = await super()._call(*args, **options)
        if self.calls == self._left:
            raise Crash
        return answer


class Project:
    """One namespace."""

    def __init__(self, kube: Kube, namespace: str, server: Any, bucket: str) -> None:
        self.kube, self.namespace, self.server, self.bucket = kube, namespace, server, bucket
        self.skew = 0.0
        """Seconds by which the operator's clock is ahead."""
        self.reports: dict[str, Report] = {}
        self.secret_versions: dict[tuple[str, str], str] = {}
        self.pool = StorePool(2)
        self.calls: list[tuple[str, str]] = []

    async def set_up(self) -> None:
        """What the controller-manager would have made."""
        await self.kube.create(SERVICE_ACCOUNTS, self.namespace, {"metadata": {"name": "default"}})

    async def connect(self, name: str = "store", **spec: Any) -> None:
        """A DataStore, and the operator's word on it."""
        s3 = {"bucket": self.bucket, "endpoint": self.server.endpoint, "forcePathStyle": True} | spec.pop("s3", {})
        body = {
            "apiVersion": DATASTORES.api_version,
            "kind": "DataStore",
            "metadata": {"name": name},
            "spec": {"s3": s3, "credentials": {"secretRef": {"name": "keys"}}, "default": True, "readable": ["raw/"], **spec},
        }
        await self.kube.create(DATASTORES, self.namespace, body)
        await self.probe(name)

    async def probe(self, name: str = "store") -> None:
        """Lets the operator look at a DataStore."""
        services = await self.process()
        await DataStoreReconciler(services).reconcile(Key("DataStore", self.namespace, name))
        self.secret_versions |= services.secret_versions

    async def process(self, kube: Kube | None = None) -> Services:
        """A new operator process that has just listed."""
        metrics = Metrics()
        services = Services(
            kube=kube or self.kube,
            cache=Cache(),
            queue=Queue(),
            recorder=Recorder(self.kube, "test", metrics.events_dropped.inc),
            metrics=metrics,
            settings=Settings(kubeconfig="unused"),
            stores=self.pool,
            clock=lambda: time.time() + self.skew,
        )
        services.secret_versions.update(self.secret_versions)
        intake = Intake(services)
        selectors = {PODS: f"{LABEL_MANAGED_BY}={MANAGED_BY}"}
        for resource in (DATASTORES, EXECUTIONS, PODS):
            for body in await self.kube.list(resource, self.namespace, label_selector=selectors.get(resource, "")):
                intake.seen(resource, body)
        for name, pod in services.cache.pods.items():
            if pod.name in self.reports and name[0] == self.namespace:
                services.progress[pod.uid] = (self.reports[pod.name], 0.0)
        return services

    async def step(self, name: str, kube: Kube | None = None) -> float | None:
        """One reconciliation by a new process."""
        services = await self.process(kube)
        return await ExecutionReconciler(services).reconcile(Key("Execution", self.namespace, name))

    async def run(self, name: str = "train", **spec: Any) -> Run:
        """Applies an execution."""
        body = {
            "apiVersion": EXECUTIONS.api_version,
            "kind": "Execution",
            "metadata": {"name": name},
            "spec": {"image": "python:3.12", "command": "true", **spec},
        }
        await self.kube.create(EXECUTIONS, self.namespace, body)
        return Run(self, name)


class Run:
    """One execution."""

    def __init__(self, project: Project, name: str) -> None:
        self.project, self.name, self.kube, self.namespace = project, name, project.kube, project.namespace

    async def step(self) -> Obj:
        """One reconciliation; the execution after it."""
        await self.project.step(self.name)
        return await self.get()

    async def get(self) -> Obj:
        return await self.kube.get(EXECUTIONS, self.namespace, self.name)

    async def edit(self, **spec: Any) -> None:
        """Changes the spec."""
        await self.kube.patch(EXECUTIONS, self.namespace, self.name, {"spec": spec})

    async def status(self) -> Obj:
        return (await self.get()).get("status", {})

    async def condition(self) -> tuple[str, str, str]:
        """Status, reason and message after one more step."""
        body = await self.step()
        (condition,) = body["status"]["conditions"]
        return condition["status"], condition["reason"], condition["message"]

    async def pods(self) -> list[Obj]:
        found = await self.kube.list(PODS, self.namespace, label_selector=f"datums.dev/execution={self.name}")
        return sorted(found, key=lambda pod: int(pod["metadata"]["labels"]["datums.dev/attempt"]))

    async def pod(self) -> Pod:
        """The newest pod."""
        pods = await self.pods()
        assert pods, f"no pod: {await self.status()}"
        return Pod(self, pods[-1])

    async def started(self, **containers: Obj) -> Pod:
        """The pod of a step, bound to a node, in this state."""
        await self.step()
        pod = await self.pod()
        await pod.bind()
        await pod.is_(**({"fetch": ended(0), "ship": running(), "main": running(), "gate": running()} | containers))
        return pod

    async def datums(self) -> list[Obj]:
        return await self.kube.list(DATUMS, self.namespace, label_selector=f"datums.dev/execution={self.name}")

    async def secret(self, attempt: int) -> Obj | None:
        """The Secret of an attempt."""
        uid = (await self.get())["metadata"]["uid"]
        try:
            return await self.kube.get(SECRETS, self.namespace, f"datums-attempt-{uid[:8]}-{attempt}")
        except NotFound:
            return None


class Pod:
    """A pod, with a kubelet that does as it is told."""

    def __init__(self, run: Run, body: Obj) -> None:
        self.run, self.body, self.name = run, body, body["metadata"]["name"]
        self.attempt = int(body["metadata"]["labels"]["datums.dev/attempt"])

    async def bind(self) -> None:
        """A node, so that a deletion has a grace."""
        resource = Resource("", "v1", f"pods/{self.name}/binding", "Binding")
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        await self.run.kube.create(resource, self.run.namespace, {"metadata": {"name": self.name}, "target": target})

    async def is_(
        self, phase: str = "Running", conditions: tuple[Obj, ...] = (), status: Obj | None = None, **containers: Obj
    ) -> None:
        """Writes the pod's status."""
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
        known = {c["type"]: c for c in (scheduled, *conditions)}
        init = [_status(name, containers[name]) for name in ("fetch", "ship") if name in containers]
        regular = [_status(name, containers[name]) for name in ("main", "gate") if name in containers]
        body = {"phase": phase, "conditions": list(known.values()), "initContainerStatuses": init, "containerStatuses": regular}
        await self.run.kube.patch(PODS, self.run.namespace, self.name, {"status": body | (status or {})}, subresource="status")

    async def main_ended(self, code: int, reason: str = "") -> None:
        """Main has ended, the rest goes on."""
        await self.is_(fetch=ended(0), ship=running(), main=ended(code, reason), gate=running())

    async def over(self, code: int = 0, *, gate: str = '{"committed":true}') -> None:
        """All containers have ended."""
        containers = {"fetch": ended(0), "ship": ended(0), "main": ended(code), "gate": ended(0, message=gate)}
        await self.is_(phase="Succeeded" if code == 0 else "Failed", **containers)

    async def get(self) -> Obj:
        return await self.run.kube.get(PODS, self.run.namespace, self.name)

    async def annotations(self) -> dict[str, str]:
        return (await self.get())["metadata"].get("annotations", {})

    async def vanish(self) -> None:
        """Gone without a trace."""
        await self.run.kube.delete(PODS, self.run.namespace, self.name, grace=0)

    def reports(self, phase: Any, **fields: Any) -> None:
        """What `ship` has told the operator."""
        self.run.project.reports[self.name] = Report(phase=phase, **fields)

    async def plan(self) -> tuple[plans.Plan, dict[str, dict[str, str]]]:
        """What the pod was given: the plan, and the credentials by file."""
        secret = await self.run.secret(self.attempt)
        assert secret is not None
        data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
        return plans.decode(data.pop("plan.json")), {name: json.loads(value) for name, value in data.items()}

    async def commits(self, files: dict[str, bytes], **changes: Any) -> Commit:
        """What `ship` does at the end: bytes, manifest, set index, commit."""
        plan, credentials = await self.plan()
        access = plan.stores[plan.output.store]
        store = open_store(access, credentials[access.credentials])
        return commit(store, plan, files, **changes)


def commit(
    store: Any,
    plan: plans.Plan,
    files: dict[str, bytes],
    *,
    outside: bool = False,
    packed: bool = False,
    offset: int = 0,
    **changes: Any,
) -> Commit:
    """Writes a commit as `ship` does.

    Args:
        outside: the manifest says that the files lie where they must not.
        packed: all files lie in one pack.
        offset: where the manifest says that files begin that lie in no pack.
    """
    ref = plan.execution
    prefix = layout.attempt_prefix(store.prefix, ref.namespace, ref.name, ref.uid, ref.attempt)
    of = ids.set_of_attempt(ref.uid, ref.attempt)
    entries = []
    offsets = pack(store, layout.pack_key(prefix, 0), files) if packed else {}
    for path, data in sorted(files.items()):
        digest = hashlib.sha256(data).hexdigest()
        key = layout.file_key("elsewhere/" if outside else prefix, path, 0)
        if packed:
            key = layout.pack_key(prefix, 0)
        elif len(files) < 300:
            store.put(key, data)
        where = manifest.Location(store=store.name, key=key, offset=offsets.get(path, offset))
        datum = str(ids.file_id(of, path, 0, digest))
        entries.append(manifest.Entry(path=path, size=len(data), sha256=digest, datum=datum, location=where))
    out = io.BytesIO()
    header = manifest.Header(kind="outputs", project=ref.namespace, created=now(), provenance=plan.provenance)
    summary = manifest.write(out, header, entries)
    key = layout.manifest_key(prefix, summary.sha256)
    store.put(key, out.getvalue())
    store.put(
        layout.set_key(store.prefix, ref.namespace, of),
        msgspec.json.encode(SetIndex(execution=ref, commit=layout.commit_key(prefix))),
    )
    saved = Saved(files=summary.files, bytes=summary.bytes, manifest=ManifestRef(store.name, key, summary.sha256))
    made = Commit(execution=ref, set=of, created=now(), outputs=saved, timings={"uploaded": 0.5, "committed": 0.6})
    if problems := changes.pop("problems", ()):
        made = replace(made, outputs=replace(saved, refused=len(problems), problems=[Problem(*p) for p in problems]))
    if pinned := changes.pop("pinned", ()):
        made = replace(made, inputs=Resolved(files=len(pinned), bytes=1, pinned=[Pinned(**p) for p in pinned]))
    store.put(layout.commit_key(prefix), msgspec.json.encode(replace(made, **changes)))
    return made


def pack(store: Any, key: str, files: dict[str, bytes]) -> dict[str, int]:
    """Writes the files as one tar; where each begins."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    store.put(key, out.getvalue())
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        return {member.name: member.offset_data for member in tar}


def running() -> Obj:
    """State of a container that runs."""
    return {"running": {"startedAt": now()}}


def waiting(reason: str, message: str = "") -> Obj:
    """State of a container that waits."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "", message: str = "") -> Obj:
    """State of a container that has ended."""
    word = reason or ("Completed" if code == 0 else "Error")
    return {"terminated": {"exitCode": code, "reason": word, "message": message, "startedAt": now(), "finishedAt": now()}}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(name: str, state: Obj) -> Obj:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}


@pytest.fixture
async def bare(kube: Kube, namespace: str, secret: Any, s3_server: Any, bucket: str) -> Project:
    """A project without a store."""
    project = Project(kube, namespace, s3_server, bucket)
    await project.set_up()
    return project


@pytest.fixture
async def project(bare: Project) -> Project:
    """A project with one."""
    await bare.connect()
    return bare


async def succeeded(project: Project, name: str = "train", files: dict[str, bytes] | None = None, **spec: Any) -> Any:
    """An execution that has."""
    run = await project.run(name, **spec)
    pod = await run.started()
    await pod.main_ended(0)
    await pod.commits(FILES if files is None else files)
    pod.reports("Committed")
    await run.step()
    return run
