"""A real server of Azure Blob Storage's API on loopback: Azurite."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient, generate_container_sas

from datums.model.plan import StoreAccess
from datums.stores import open_store
from datums.stores.protocol import Store
from testbed.azurite import AzuriteServer
from testbed.errors import SetupError

STORE = "platform/azure"


class AzureSite:
    """A container of the test's own."""

    def __init__(self, server: AzuriteServer) -> None:
        self.server = server
        self.origin = server.endpoint.rpartition("/")[0]
        self.bucket = f"c-{secrets.token_hex(6)}"
        self.client = BlobServiceClient(
            server.endpoint,
            credential={"account_name": server.account, "account_key": server.key},
            connection_verify=str(server.authority) if server.tls else True,
            retry_total=0,
        )
        self.container = self.client.create_container(self.bucket)

    def access(self, **changes: Any) -> StoreAccess:
        """How to reach it."""
        here = {
            "kind": "azure",
            "name": STORE,
            "account": self.server.account,
            "bucket": self.bucket,
            "prefix": "datums",
            "endpoint": self.server.endpoint,
            "ca_bundle": self.server.ca_bundle,
        }
        return StoreAccess(**(here | changes))

    def open(self, credentials: dict[str, str] | None = None, **changes: Any) -> Store:
        return open_store(self.access(**changes), {"AZURE_STORAGE_KEY": self.server.key} if credentials is None else credentials)

    def by(self, proxy: str) -> dict[str, Any]:
        return {"endpoint": f"{proxy}/{self.server.account}"}

    def sas(self, permission: str, hours: float = 1.0) -> dict[str, str]:
        """Credentials that may do what `permission` says, and end so many hours from now."""
        token = generate_container_sas(
            self.server.account,
            self.bucket,
            account_key=self.server.key,
            permission=permission,
            expiry=datetime.now(UTC) + timedelta(hours=hours),
        )
        return {"AZURE_STORAGE_SAS_TOKEN": token}

    def write(self, key: str, data: bytes) -> None:
        self.container.upload_blob(key, data, overwrite=True)

    def read(self, key: str) -> bytes:
        return bytes(self.container.download_blob(key).readall())

    def names(self) -> list[str]:
        return [blob.name for blob in self.container.list_blobs()]

    def close(self) -> None:
        """Ends its connections."""
        self.client.close()


def another_key() -> str:
    """An account key of nobody."""
    return base64.b64encode(secrets.token_bytes(64)).decode()


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzuriteServer]:
    """One server for all tests."""
    server = AzuriteServer()
    try:
        server.start(owner=os.getpid())
    except SetupError as error:
        pytest.skip(str(error).split("\n", 1)[0])
    yield server
    server.stop()


@pytest.fixture
def azure(azure_server: AzuriteServer) -> Iterator[AzureSite]:
    """A container."""
    site = AzureSite(azure_server)
    yield site
    site.close()
