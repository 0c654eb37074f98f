"""A real server of Google Cloud Storage's APIs on loopback: fake-gcs-server. It looks at no credentials."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store
from testbed.fake_gcs import FakeGcsServer

STORE = "platform/gcs"


@cache
def key_file() -> str:
    """The key file of a service account of nobody."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "test",
            "private_key_id": secrets.token_hex(20),
            "private_key": pem.decode(),
            "client_email": "datums@test.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


class GCSSite:
    """A bucket of the test's own."""

    def __init__(self, server: FakeGcsServer) -> None:
        self.server = server
        self.origin = server.endpoint
        self.bucket = f"b-{secrets.token_hex(6)}"
        self.client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": server.endpoint})
        if server.tls:
            # Whatever the environment says of other authorities.
            self.client._http.verify, self.client._http.trust_env = str(server.authority), False
        self.client.create_bucket(self.bucket)

    def access(self, **changes: Any) -> StoreAccess:
        """How to reach it."""
        here = {
            "kind": "gcs",
            "name": STORE,
            "bucket": self.bucket,
            "prefix": "datums",
            "endpoint": self.server.endpoint,
            "ca_bundle": self.server.ca_bundle,
        }
        return StoreAccess(**(here | changes))

    def open(self, **changes: Any) -> Store:
        return open_store(self.access(**changes), {"service-account.json": key_file()})

    def by(self, proxy: str) -> dict[str, Any]:
        return {"proxy": proxy}  # the server tells its two APIs apart by the host that is asked for

    def write(self, key: str, data: bytes) -> None:
        self.client.bucket(self.bucket).blob(key).upload_from_string(data)

    def read(self, key: str) -> bytes:
        return bytes(self.client.bucket(self.bucket).blob(key).download_as_bytes())

    def names(self) -> list[str]:
        return [blob.name for blob in self.client.list_blobs(self.bucket)]

    def close(self) -> None:
        """Ends its connections."""
        self.client.close()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[FakeGcsServer]:
    """One server for all tests."""
    with FakeGcsServer() as server:
        yield server


@pytest.fixture
def gcs(gcs_server: FakeGcsServer) -> Iterator[GCSSite]:
    """A bucket."""
    site = GCSSite(gcs_server)
    yield site
    site.close()
