"""What the fidelity tests share: data that is saved once, a pod of `fetch` for one run, and what has to be true after every run."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import msgspec

from datums.model import ids, layout, manifest, podpaths
from datums.model import plan as plans
from datums.model.commit import FetchResult, Resolved
from datums.model.manifest import Entry, Header, Location
from datums.model.plan import (
    ExecutionRef,
    InputPlan,
    ObjectsSource,
    OutputPlan,
    Plan,
    SetSource,
    StoreAccess,
)
from datums.stores.protocol import Store
from tests.integration import forked
from tests.integration.s3_fixture import STORE, S3Server
from tests.integration.ship_kit import ShipPod

NAMESPACE = "churn"
RUN_SECONDS = 120.0

HURRY: Mapping[str, object] = {
    "datums.stores.wire_exchange:_SILENCE_SECONDS": 3,
    "datums.stores.wire_exchange:ANSWER_SECONDS": 4.0,
    "datums.transfer.web:_TIMEOUT_SECONDS": 3.0,
    "datums.transfer.web:_SLOW_SECONDS": 4.0,
}
"""How long silence is borne, where a test has no minute to wait."""
Tree = dict[str, bytes]
"""Path below a directory → content."""


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class SavedSet(NamedTuple):
    """What an earlier execution has saved."""

    prefix: str
    manifest_key: str
    manifest_sha256: str
    entries: list[Entry]
    tree: Tree

    def source(self, **more: Any) -> SetSource:
        """All of it, as an input."""
        return SetSource(
            link="datum://bundle", store=STORE, manifest_key=self.manifest_key, manifest_sha256=self.manifest_sha256, **more
        )


def save_set(store: Store, name: str, files: Mapping[str, bytes], packed: Mapping[str, bytes] | None = None) -> SavedSet:
    """Saves files as an execution does, each in an object of its own, or some together in one pack."""
    uid = str(uuid4())
    set_hex = ids.set_of_attempt(uid, 1)
    prefix = layout.attempt_prefix(store.prefix, NAMESPACE, name, uid, 1)
    entries = []

    def entry(path: str, data: bytes, place: Location) -> Entry:
        datum = str(ids.file_id(set_hex, path, 0, sha(data)))
        return Entry(path=path, size=len(data), sha256=sha(data), datum=datum, location=place)

    for path, data in files.items():
        key = layout.file_key(prefix, path, 0)
        store.put_file(key, io.BytesIO(data), len(data))
        entries.append(entry(path, data, Location(store=STORE, key=key)))
    if packed:
        out, places = io.BytesIO(), {}
        with tarfile.open(fileobj=out, mode="w") as tar:
            for path, data in packed.items():
                info = tarfile.TarInfo(path)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
                places[path] = tar.offset - -(-len(data) // 512) * 512
        key = layout.pack_key(prefix, 0)
        store.put(key, out.getvalue())
        entries += [entry(path, data, Location(STORE, key, offset=places[path])) for path, data in packed.items()]
    entries.sort(key=lambda one: one.order)
    body = io.BytesIO()
    header = Header(kind="outputs", project=NAMESPACE, created="2026-01-01T00:00:00Z")
    summary = manifest.write(body, header, entries)
    key = layout.manifest_key(prefix, summary.sha256)
    store.put(key, body.getvalue())
    return SavedSet(prefix, key, summary.sha256, entries, {**files, **(packed or {})})


def raw(name: str, *patterns: str, **more: Any) -> InputPlan:
    """An input of raw links."""
    sources = [ObjectsSource(link=f"store://ml/{pattern}", store=STORE, pattern=pattern) for pattern in patterns]
    return InputPlan(name=name, input_id=str(UUID(int=7)), sources=list(sources), **more)


def bundle(name: str, saved: SavedSet, **more: Any) -> InputPlan:
    """An input of a set, with its directories."""
    return InputPlan(name=name, input_id=str(UUID(int=8)), sources=[saved.source(**more)], keep_directories="Full")


class FetchRun(NamedTuple):
    """How one run of `fetch` ended."""

    code: int
    result: FetchResult
    tree: Tree
    """All files below the inputs directory, hidden ones too."""
    log: str


class FetchPod:
    """The directories of one pod whose `fetch` is run; its own execution, so that many share a bucket."""

    def __init__(self, root: Path, server: S3Server, bucket: str, **access: Any) -> None:
        self.root = root
        self.server = server
        self.bucket = bucket
        self.access: StoreAccess = server.access(bucket, **({"readable": ["raw/"], "credentials": "store-0.json"} | access))
        self.execution = ExecutionRef(namespace=NAMESPACE, name="train", uid=str(uuid4()), attempt=1)
        self._secret = self.at(podpaths.SECRET)
        self._secret.mkdir(parents=True)
        self.at(podpaths.TERMINATION_LOG).parent.mkdir()
        self.write_credentials(server.keys["admin"])
        tools = root / "tools"
        tools.mkdir()
        for name in ("busybox", "tini-static"):
            (tools / name).write_bytes(b"#!/bin/sh\n")

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    @property
    def inputs(self) -> Path:
        return self.at(podpaths.INPUTS)

    def write_credentials(self, keys: Mapping[str, str]) -> None:
        fresh = self._secret / ".fresh"
        fresh.write_text(json.dumps(dict(keys)))
        fresh.rename(self._secret / "store-0.json")

    def plan(self, *inputs: InputPlan) -> None:
        document = Plan(execution=self.execution, stores={STORE: self.access}, output=OutputPlan(store=STORE), inputs=list(inputs))
        (self._secret / "plan.json").write_bytes(plans.encode(document))

    def run(self, seconds: float = RUN_SECONDS, **options: Any) -> FetchRun:
        """Runs `fetch`, and checks what is true of every run: its exit code and its message agree, and no secret is said."""
        log = self.root / "fetch.log"
        log.unlink(missing_ok=True)
        process = forked.start(
            "datums.transfer.fetch", self.root, log=log, environment={"DATUMS_TOOLS": str(self.root / "tools")}, **options
        )
        try:
            code = process.wait(seconds)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = log.read_text()
        assert "Traceback" not in said, said
        result = msgspec.json.decode(self.at(podpaths.TERMINATION_LOG).read_bytes(), type=FetchResult)
        assert code == (1 if result.reason else 0), f"ended with {code}: {said}"
        assert not result.reason or result.message
        for key in self.server.keys.values():
            assert key["AWS_SECRET_ACCESS_KEY"] not in said + result.message
        return FetchRun(code, result, tree_of(self.inputs), said)

    def resolved(self) -> Resolved:
        """The inputs as the run has left word of them."""
        return msgspec.json.decode((self.at(podpaths.STATE) / "inputs.json").read_bytes(), type=Resolved)

    def check_written_down(self, files: int) -> None:
        """What `fetch` leaves for the other containers describes what it has loaded, and its manifest can be read."""
        resolved = self.resolved()
        assert resolved.files == files and resolved.manifest is not None
        body = self.server.boto().get_object(Bucket=self.bucket, Key=resolved.manifest.key)["Body"].read()
        assert sha(body) == resolved.manifest.sha256
        assert len(list(manifest.Reader([body]))) == files

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class ForkedPod(ShipPod):
    """A pod whose `ship` starts in milliseconds.

    Args:
        root: its directory, which is made.
        store: the bucket, to look into; opened here where there is none. Tests that work in threads open it before.
    """

    def __init__(self, root: Path, server: S3Server, bucket: str, store: Store | None = None, **more: Any) -> None:
        root.mkdir()
        super().__init__(root, server, bucket, store or server.open(bucket), **more)

    def start(self, **options: Any) -> Any:
        process = forked.start("datums.transfer.ship", self.root, log=self.root / "ship.log", **options)
        self.processes.append(process)  # type: ignore[arg-type]
        return process


def tree_of(base: Path) -> Tree:
    """All files below a directory, hidden and half ones too."""
    return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()} if base.exists() else {}


def below(name: str, tree: Mapping[str, bytes]) -> Tree:
    """The tree in a directory."""
    return {f"{name}/{path}": data for path, data in tree.items()}


def check_fetched(run: FetchRun, expected: Tree, objects: Iterable[str]) -> None:
    """After every run: the tree is whole, or a typed reason names an object; and what is there is verified.

    Args:
        objects: texts of which a message has to hold one: links or URIs of what was to be loaded.
    """
    strange = {path for path, data in run.tree.items() if expected.get(path) != data}
    assert not strange, f"at a final path, or left behind, but not what was saved: {sorted(strange)}"
    if run.result.reason:
        assert any(name in run.result.message for name in objects), f"names no object: {run.result}"
    else:
        assert run.tree == expected, f"missing: {sorted(expected.keys() - run.tree.keys())}"
        assert (run.result.files, run.result.bytes) == (len(expected), sum(map(len, expected.values())))


def sweep(trials: Sequence[tuple[str, Callable[[], None]]], at_once: int = 4) -> None:
    """Makes all trials, some at a time; fails with the first of those that went wrong."""

    def attempt(trial: tuple[str, Callable[[], None]]) -> str:
        name, work = trial
        try:
            work()
        except (AssertionError, OSError) as error:
            return f"--- {name}: {type(error).__name__}: {str(error)[:3000]}"
        return ""

    with ThreadPoolExecutor(at_once) as pool:
        failed = [said for said in pool.map(attempt, trials) if said]
    assert not failed, f"{len(failed)} of {len(trials)}:\n" + "\n".join(failed[:8])


def pending_uploads(server: S3Server, bucket: str, prefix: str) -> list[str]:
    """Keys of uploads that nobody has finished or aborted."""
    answer = server.boto().list_multipart_uploads(Bucket=bucket, Prefix=prefix)
    return [upload["Key"] for upload in answer.get("Uploads", [])]
