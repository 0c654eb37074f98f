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
