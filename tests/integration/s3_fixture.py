"""A real S3 server on loopback for the integration tests: SeaweedFS, with an administrator and an identity that may only read."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store

_GRPC = 10_000  # what weed adds to a port for its gRPC
STORE = "platform/ml"


class S3Server:
    """A running server."""

    def __init__(self, directory: Path) -> None:
        self.keys = {name: _key(name) for name in ("admin", "reader")}
        actions = {"admin": ["Admin", "Read", "List", "Tagging", "Write"], "reader": ["Read", "List"]}
        identities = [
            {
                "name": name,
                "credentials": [{"accessKey": key["AWS_ACCESS_KEY_ID"], "secretKey": key["AWS_SECRET_ACCESS_KEY"]}],
                "actions": actions[name],
            }
            for name, key in self.keys.items()
        ]
        config = directory / "s3.json"
        config.write_text(json.dumps({"identities": identities}))
        master, volume, filer, s3 = _ports(4)
        self.port = s3
        self.endpoint = f"http://127.0.0.1:{s3}"
        self._log = (directory / "weed.log").open("wb")
        self._process = subprocess.Popen(
            [
                Path(sys.executable).with_name("weed"), "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-s3", f"-s3.config={config}",
                f"-s3.port={s3}",
                "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=5000", "-master.volumeSizeLimitMB=256",
            ],
            stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._wait()

    def boto(self) -> Any:
        """An independent client, to see what is really in a bucket."""
        key = self.keys["admin"]
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
        )

    def access(self, bucket: str, **changes: Any) -> StoreAccess:
        """How to reach a bucket here."""
        here = {"name": STORE, "bucket": bucket, "prefix": "datums", "endpoint": self.endpoint, "force_path_style": True}
        return StoreAccess(**(here | changes))

    def open(self, bucket: str, who: str = "admin", **changes: Any) -> Store:
        """The bucket, by the project's own driver."""
        return open_store(self.access(bucket, **changes), self.keys[who])

    def close(self) -> None:
        """Ends the server."""
        self._process.kill()  # its own way down takes 10 s, and the data is thrown away
        self._process.wait()
        self._log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.endpoint}/healthz", timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                if self._process.poll() is not None:
                    break
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"the S3 server did not start; see {self._log.name}")


def _key(name: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": f"KEY{name}", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20)}


def _ports(count: int) -> list[int]:
    """Free ports of which the gRPC twin is free, too."""
    found: list[int] = []
    held: list[socket.socket] = []
    try:
        for port in range(21_000 + secrets.randbelow(10_000), 45_000):
            pair = [socket.socket(), socket.socket()]
            held += pair
            try:
                pair[0].bind(("127.0.0.1", port))
                pair[1].bind(("127.0.0.1", port + _GRPC))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    finally:
        for one in held:
            one.close()
    raise RuntimeError("no free ports on 127.0.0.1")


def forward(client: socket.socket, port: int) -> None:
    """Carries bytes between a connection and a port here, until one side ends."""
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """A bucket of the test's own."""
    name = f"b-{secrets.token_hex(6)}"
    s3_server.boto().create_bucket(Bucket=name)
    return name
