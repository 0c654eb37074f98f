"""The tools beside which transfers are measured, each at the settings that were fastest here.

rclone: as many transfers (32) as keep 2 cores busy with small files; no look at the destination (`--no-check-dest`,
`--no-traverse`), no bucket check, no HEAD for a time of modification or after a PUT, no digest where it can be told so
(`--ignore-checksum`, `--s3-disable-checksum`, `--s3-use-unsigned-payload`: else it reads what it sends up to three times); four
streams a large file. s5cmd: 64 workers; its default of 256 is slower with small files. boto3: one request a file up to 8 MiB, above
that the classic transfer manager with eight parts at once. The SDKs of Google and Azure: the same threads, one file each.

Ours: `tuning.concurrency: 64` with small files, as s5cmd; else the usual 16.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import measure
from bench.measure import Cost
from bench.servers import BUCKET, Server
from bench.workloads import Workload

_BIN = Path(sys.executable).parent
_RCLONE = [
    *("--fast-list", "--no-traverse", "--no-check-dest", "--ignore-checksum", "--retries=1", "--config=", "--stats=0"),
    *("--buffer-size=1M", "--use-mmap", "--use-server-modtime"),
    *("--multi-thread-streams=4", "--multi-thread-cutoff=128M", "--multi-thread-chunk-size=64M"),
]
_RCLONE_S3 = [
    *("--s3-provider=Other", "--s3-env-auth", "--s3-region=us-east-1", "--s3-no-head", "--s3-no-check-bucket"),
    *("--s3-disable-checksum", "--s3-use-unsigned-payload=true", "--s3-upload-concurrency=4", "--s3-chunk-size=16M"),
]
_RCLONE_AZURE = [
    *("--azureblob-no-check-container", "--azureblob-disable-checksum"),
    *("--azureblob-upload-concurrency=4", "--azureblob-chunk-size=16M"),
]


@dataclass(frozen=True)
class Peer:
    """A tool that moves files."""

    name: str
    workers: int = 32
    """Small files in flight at once."""

    def get(self, server: Server, prefix: str, target: Path, work: Workload) -> Cost:
        """Downloads everything below a prefix (ending in a slash) into a directory that exists."""
        return measure.run(self._get(server, prefix, target, work), self._environment(server))

    def put(self, server: Server, source: Path, prefix: str, work: Workload) -> Cost:
        """Uploads a directory to a prefix (ending in a slash)."""
        return measure.run(self._put(server, source, prefix, work), self._environment(server))

    def _get(self, server: Server, prefix: str, target: Path, work: Workload) -> Sequence[str | Path]:
        raise NotImplementedError

    def _put(self, server: Server, source: Path, prefix: str, work: Workload) -> Sequence[str | Path]:
        raise NotImplementedError

    def _environment(self, server: Server) -> dict[str, str]:
        if server.kind == "azure":
            key = server.keys["AZURE_STORAGE_KEY"]
            return {"RCLONE_AZUREBLOB_KEY": key, "AZURE_STORAGE_KEY": key, "AZURE_STORAGE_ACCOUNT": server.account}
        if server.kind == "gcs":
            return {}
        return {**server.keys, "AWS_REGION": "us-east-1", **({"AWS_CA_BUNDLE": str(server.ca)} if server.ca else {})}


class Rclone(Peer):
    def make_bucket(self, server: Server) -> None:
        """Makes the bucket where there is none."""
        flags = [flag for flag in self._flags(server) if "no-check" not in flag]
        measure.run([_BIN / "rclone", "mkdir", self._remote(server, ""), *flags], self._environment(server))

    def cat(self, server: Server, key: str) -> bytes:
        """A small object."""
        environment = {"PATH": os.environ["PATH"], **self._environment(server)}
        command: list[str | Path] = [_BIN / "rclone", "cat", self._remote(server, key), *self._flags(server)]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    def _get(self, server: Server, prefix: str, target: Path, work: Workload) -> Sequence[str | Path]:
        return [_BIN / "rclone", "copy", self._remote(server, prefix), target, *self._flags(server)]

    def _put(self, server: Server, source: Path, prefix: str, work: Workload) -> Sequence[str | Path]:
        return [_BIN / "rclone", "copy", source, self._remote(server, prefix), *self._flags(server)]

    def _remote(self, server: Server, key: str) -> str:
        return f":{'azureblob' if server.kind == 'azure' else server.kind}:{BUCKET}/{key}"

    def _flags(self, server: Server) -> list[str]:
        flying = [f"--transfers={self.workers}", f"--checkers={self.workers}"]
        trust = [f"--ca-cert={server.ca}"] if server.ca else []
        match server.kind:
            case "s3":
                known = [*_RCLONE_S3, f"--s3-endpoint={server.endpoint}"]
            case "gcs":
                known = ["--gcs-anonymous", "--gcs-no-check-bucket", f"--gcs-endpoint={server.endpoint}/storage/v1/"]
            case "azure":
                known = [*_RCLONE_AZURE, f"--azureblob-account={server.account}", f"--azureblob-endpoint={server.endpoint}"]
        return [*_RCLONE, *flying, *known, *trust]


class S5cmd(Peer):
    def _get(self, server: Server, prefix: str, target: Path, work: Workload) -> Sequence[str | Path]:
        return [*self._command(server, work), f"s3://{BUCKET}/{prefix}*", f"{target}/"]

    def _put(self, server: Server, source: Path, prefix: str, work: Workload) -> Sequence[str | Path]:
        return [*self._command(server, work), f"{source}/", f"s3://{BUCKET}/{prefix}"]

    def _command(self, server: Server, work: Workload) -> list[str | Path]:
        parts = ["--concurrency", "8", "--part-size", "32"] if work.count == 1 else ["--concurrency", "2", "--part-size", "32"]
        workers = max(64, self.workers) if work.is_small else 16
        return [_BIN / "s5cmd", "--log=error", f"--numworkers={workers}", "--endpoint-url", server.endpoint, "cp", *parts]


class Sdk(Peer):
    """The provider's own SDK for Python."""

    def _get(self, server: Server, prefix: str, target: Path, work: Workload) -> Sequence[str | Path]:
        return [*self._command(server), "get", prefix, target]

    def _put(self, server: Server, source: Path, prefix: str, work: Workload) -> Sequence[str | Path]:
        return [*self._command(server), "put", prefix, source]

    def _command(self, server: Server) -> list[str | Path]:
        copy = Path(__file__).with_name("sdk_copy.py")
        return [sys.executable, copy, server.kind, server.endpoint, BUCKET, str(self.workers // 2)]


def peers_of(server: Server, workers: int, *, sdk: bool) -> list[Peer]:
    """Who moves files beside us at a server.

    Args:
        sdk: with boto3, where it is S3; the other providers' SDKs always.
    """
    rclone = Rclone("rclone", workers)
    if server.kind == "s3":
        return [rclone, S5cmd("s5cmd", workers), *([Sdk("boto3", workers)] if sdk else [])]
    return [rclone, Sdk({"gcs": "google-cloud-storage", "azure": "azure-storage-blob"}[server.kind], workers)]


def sha256sum(root: Path) -> Cost:
    """What `sha256sum` of all files below a directory costs, by two processes at once."""
    return measure.run(["sh", "-c", 'find "$0" -type f -print0 | xargs -0 -P2 -n100 sha256sum >/dev/null', root], {})
