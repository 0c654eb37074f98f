"""A pod whose `fetch` is run, without a kubelet."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml

from datums.model import ids, layout, manifest
from datums.model import plan as plans
from datums.model.commit import Commit, FetchResult, ManifestRef, Resolved, Saved
from datums.model.manifest import Entry, Header, Location
from datums.model.plan import (
    ExecutionRef,
    InputPlan,
    ObjectsSource,
    OutputPlan,
    Plan,
    StoreAccess,
)
from tests.integration.fidelity_kit import sha
from tests.integration.s3_fixture import STORE, S3Server

UID = "0f5d8f1c-6a51-4a0e-9d5e-0c9a3a7b1234"
SET = ids.set_of_attempt(UID, 1)


class Pod:
    """The directories of one pod, and a plan for it."""

    def __init__(self, root: Path, server: S3Server, bucket: str) -> None:
        self.root = root
        self.store = server.open(bucket)
        self.bucket = bucket
        self.access = server.access(bucket, readable=["raw/"], credentials="store-0.json")
        self.secret = root / "datums/secret"
        self.secret.mkdir(parents=True)
        (root / "dev").mkdir()
        (self.secret / "store-0.json").write_text(json.dumps(server.keys["admin"]))
        self.tools = root / "tools"
        self.tools.mkdir()
        for name in ("busybox", "tini-static"):
            (self.tools / name).write_bytes(b"#!/bin/sh\n" + name.encode())

    def plan(self, *inputs: InputPlan, access: StoreAccess | None = None, **more: Any) -> None:
        plan = Plan(
            execution=ExecutionRef(namespace="churn", name="train", uid=UID, attempt=1),
            stores={STORE: access or self.access},
            output=OutputPlan(store=STORE),
            inputs=list(inputs),
            **more,
        )
        (self.secret / "plan.json").write_bytes(plans.encode(plan))

    def fetch(self) -> FetchResult:
        done = subprocess.run(
            [sys.executable, "-m", "datums.transfer.fetch"],
            env={"DATUMS_ROOT": str(self.root), "DATUMS_TOOLS": str(self.tools), "PATH": os.environ["PATH"]},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        result = msgspec.json.decode((self.root / "dev/termination-log").read_bytes(), type=FetchResult)
        assert done.returncode == (1 if result.reason else 0), done.stderr
        secret = json.loads((self.secret / "store-0.json").read_text())["AWS_SECRET_ACCESS_KEY"]
        assert secret not in done.stderr + done.stdout + result.message
        return result

    def files(self, name: str) -> dict[str, bytes]:
        base = self.root / "valohai/inputs" / name
        return {str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()}

    def document(self, name: str) -> Any:
        text = (self.root / f"valohai/config/{name}.json").read_text()
        assert yaml.safe_load((self.root / f"valohai/config/{name}.yaml").read_text()) == json.loads(text)
        return json.loads(text)

    @property
    def resolved(self) -> Resolved:
        return msgspec.json.decode((self.root / "datums/state/inputs.json").read_bytes(), type=Resolved)

    def save(self, name: str, files: dict[str, bytes | None], *, packs: int = 0) -> tuple[str, str, list[Entry]]:
        """Saves a set of files as another execution would (None: an empty directory). The manifest's key, digest and entries.

        Args:
            packs: the files lie in so many packs instead of objects of their own, and the attempt has a commit.
        """
        prefix = layout.attempt_prefix("datums", "churn", name, UID, 1)
        entries = []
        tars = [io.BytesIO() for _ in range(packs)]
        for number, (path, data) in enumerate(sorted(files.items())):
            if data is None:
                entries.append(Entry(path=f"{path}/"))
                continue
            place = Location(store=STORE, key=layout.file_key(prefix, path, 0))
            if packs:
                tar = tars[number % packs]
                with tarfile.open(fileobj=tar, mode="w") as archive:
                    info = tarfile.TarInfo(path)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
                    end = archive.offset
                tar.seek(end)
                tar.truncate()
                offset = end - -(-len(data) // 512) * 512
                place = Location(store=STORE, key=layout.pack_key(prefix, number % packs), offset=offset)
            else:
                self.store.put(place.key, data)
            datum = str(ids.file_id(SET, path, 0, sha(data)))
            entries.append(Entry(path=path, size=len(data), sha256=sha(data), datum=datum, location=place, metadata={"of": path}))
        for number, tar in enumerate(tars):
            self.store.put(layout.pack_key(prefix, number), tar.getvalue() + bytes(1024))
        entries.sort(key=lambda entry: entry.order)
        out = io.BytesIO()
        summary = manifest.write(out, Header(kind="outputs", project="churn", created="2026-01-01T00:00:00Z"), entries)
        key = layout.manifest_key(prefix, summary.sha256)
        self.store.put(key, out.getvalue())
        if packs:
            saved = Saved(files=summary.files, bytes=summary.bytes, manifest=ManifestRef(STORE, key, summary.sha256))
            execution = ExecutionRef(namespace="churn", name=name, uid=UID, attempt=1)
            commit = Commit(execution=execution, set=SET, created="2026-01-01T00:00:00Z", outputs=saved)
            self.store.put(layout.commit_key(prefix), msgspec.json.encode(commit))
        return key, summary.sha256, entries


@pytest.fixture
def fetch_pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> Pod:
    return Pod(tmp_path, s3_server, bucket)


def objects(name: str, *patterns: str, **more: Any) -> InputPlan:
    sources = [ObjectsSource(link=f"store://ml/{pattern}", store=STORE, pattern=pattern) for pattern in patterns]
    return InputPlan(name=name, input_id=str(UUID(int=7)), sources=list(sources), **more)
