"""The servers that transfers are measured against, and the lines to them. Each is a context manager that ends what it started.

The null server and the line are Go programs of this folder; SeaweedFS is the testbed's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from testbed.azurite import AzuriteServer
from testbed.binaries import build
from testbed.fake_gcs import FakeGcsServer
from testbed.layout import BIN
from testbed.pki import Authority
from testbed.seaweed import SeaweedServer

BUCKET = "bench"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """An object store, or the near end of a line to one."""

    endpoint: str
    keys: dict[str, str]
    """As in the Secret of a DataStore."""
    ca: Path | None = None
    """The authority that signed its certificate, where it serves TLS."""
    virtual: bool = False
    """The null server: objects of every size exist, and what is written is thrown away."""
    kind: Literal["s3", "gcs", "azure"] = "s3"
    account: str = ""
    """Of Azure."""


@dataclass(frozen=True)
class Certificates:
    """A certificate for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path


@contextlib.contextmanager
def certificates() -> Iterator[Certificates]:
    """A certificate for 127.0.0.1 and the authority that signed it; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="datums-bench-pki-") as directory:
        authority = Authority(Path(directory))
        authority.create()
        authority.issue("server", "127.0.0.1", names=["IP:127.0.0.1"])
        yield Certificates(authority.certificate, Path(directory, "server.crt"), Path(directory, "server.key"))


@contextlib.contextmanager
def null_server(tls: Certificates | None = None) -> Iterator[Server]:
    """A server that is not the bottleneck (bench/nullserver)."""
    arguments = ["-cert", str(tls.certificate), "-key", str(tls.key)] if tls else []
    with _running("nullserver", *arguments) as address:
        keys = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "checks-this"}
        yield Server(f"{'https' if tls else 'http'}://{address}", keys, tls.ca if tls else None, virtual=True)


@contextlib.contextmanager
def seaweed(tls: Certificates) -> Iterator[tuple[Server, Server]]:
    """A SeaweedFS: without and with TLS. The bucket is made."""
    with SeaweedServer(certificate=(tls.certificate, tls.key)) as server:
        keys = server.keys["admin"]
        s5cmd = [str(Path(__file__).parents[1] / ".venv/bin/s5cmd"), "--endpoint-url", server.endpoint, "mb", f"s3://{BUCKET}"]
        subprocess.run(s5cmd, env=keys, check=True, capture_output=True)
        yield Server(server.endpoint, keys), Server(server.secure_endpoint, keys, tls.ca)


@contextlib.contextmanager
def gcs() -> Iterator[Server]:
    """A fake-gcs-server with a bucket."""
    with FakeGcsServer() as server:
        url, body = f"{server.endpoint}/storage/v1/b?project=bench", json.dumps({"name": BUCKET}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30):
            pass
        yield Server(server.endpoint, {"service-account.json": _service_account()}, kind="gcs")


@contextlib.contextmanager
def azure() -> Iterator[Server]:
    """An Azurite; the container is to be made by who can sign."""
    with AzuriteServer() as server:
        yield Server(server.endpoint, {"AZURE_STORAGE_KEY": server.key}, kind="azure", account=server.account)


@contextlib.contextmanager
def line(server: Server, *, delay_ms: float = 0, rate: float = 0) -> Iterator[Server]:
    """The server at the far end of a line.

    Args:
        delay_ms: of a round trip.
        rate: bytes a second in each direction, shared by all connections; 0 for any.
    """
    url = urlsplit(server.endpoint)
    with _running("line", "-target", url.netloc, "-delay", f"{delay_ms / 2}ms", "-rate", str(rate)) as address:
        yield replace(server, endpoint=f"{url.scheme}://{address}")


def tell_null(server: Server, what: str, value: str = "") -> bytes:
    """Asks a null server without TLS for its `counts`, or tells it to `reset`, `keep`, `storm` (bench/nullserver/control.go)."""
    data = None if what == "counts" else value.encode()
    with urllib.request.urlopen(f"{server.endpoint}/_null/{what}", data=data, timeout=10) as response:
        answer: bytes = response.read()
    return answer


def program(name: str) -> Path:
    """A Go program of this folder, built when its sources have changed."""
    digest = hashlib.sha256()
    for source in sorted((_HERE / name).iterdir()):
        digest.update(source.name.encode() + source.read_bytes())
    target = BIN / f"bench-{name}-{digest.hexdigest()[:12]}"
    if not target.exists():
        BIN.mkdir(parents=True, exist_ok=True)
        build(_HERE / name, target, f"building bench/{name}")
        for older in BIN.glob(f"bench-{name}-*"):
            if older != target:
                older.unlink()
    return target


def _service_account() -> str:
    """The key file of a service account of nobody."""
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA"], check=True, capture_output=True, text=True)
    account = {
        "type": "service_account",
        "project_id": "bench",
        "private_key_id": "1",
        "private_key": made.stdout,
        "client_id": "1",
    }
    return json.dumps(
        account | {"client_email": "bench@bench.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token"}
    )


@contextlib.contextmanager
def _running(name: str, *arguments: str) -> Iterator[str]:
    """A program that prints its address first."""
    process = subprocess.Popen([program(name), *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
