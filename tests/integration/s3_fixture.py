"""A real S3 server on loopback for the integration tests: SeaweedFS, with an administrator and an identity that may only read."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store
from testbed.seaweed import SeaweedServer

STORE = "platform/ml"


class S3Server:
    """A running server. The buckets `identities.PUBLIC` and `identities.UNLISTED` can be read by anybody."""

    def __init__(self, server: SeaweedServer) -> None:
        self.keys = server.keys
        self.endpoint = server.endpoint
        self.port = int(server.endpoint.rpartition(":")[2])

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


def forward(client: socket.socket, port: int) -> None:
    """Carries bytes between a connection and a port here, until one side ends."""
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        pipe(client, server)


def pipe(client: socket.socket, server: socket.socket) -> None:
    """Carries bytes between two connections, until one side ends."""
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


class S3Site:
    """A bucket for the tests of drivers (store_contract.Site).

    Args:
        fixed: fields of the StoreAccess that all its stores have.
    """

    def __init__(self, server: S3Server, bucket: str, **fixed: Any) -> None:
        self.server = server
        self.bucket = bucket
        self._fixed = fixed
        self._boto = server.boto()

    def open(self, **changes: Any) -> Store:
        return self.server.open(**({"bucket": self.bucket} | self._fixed | changes))

    def write(self, key: str, data: bytes) -> None:
        self._boto.put_object(Bucket=self.bucket, Key=key, Body=data)

    def read(self, key: str) -> bytes:
        body: bytes = self._boto.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def names(self) -> list[str]:
        return [found["Key"] for found in self._boto.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def uploads(self) -> list[str]:
        """The keys of the uploads that are neither finished nor aborted."""
        return [found["Key"] for found in self._boto.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests."""
    with SeaweedServer(anonymous=True) as server:
        yield S3Server(server)


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """A bucket of the test's own."""
    name = f"b-{secrets.token_hex(6)}"
    s3_server.boto().create_bucket(Bucket=name)
    return name
