"""A copy by a provider's SDK, as a program of its own: `sdk_copy.py s3|gcs|azure ENDPOINT BUCKET THREADS get|put PREFIX DIRECTORY`.

Each SDK at settings that suit it: one client, one connection a thread, one request a small file, no checksums.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

SMALL = 8 << 20
POOL = 64


class Bucket(Protocol):
    """What a copy needs of an SDK."""

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]: ...
    def get(self, key: str, size: int, target: Path) -> object: ...
    def put(self, key: str, size: int, source: Path) -> object: ...


class S3:
    def __init__(self, endpoint: str, bucket: str) -> None:
        import boto3  # noqa: PLC0415
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            max_pool_connections=POOL,
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client: Any = boto3.client("s3", endpoint_url=endpoint, config=config)
        self._bucket = bucket
        self._transfer = TransferConfig(
            multipart_threshold=SMALL,
            multipart_chunksize=16 << 20,
            max_concurrency=8,
            io_chunksize=1 << 20,
            max_io_queue=64,
            preferred_transfer_client="classic",
        )

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                yield each["Key"], each["Size"]

    def get(self, key: str, size: int, target: Path) -> object:
        if size <= SMALL:
            return target.write_bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        return self._client.download_file(self._bucket, key, str(target), Config=self._transfer)

    def put(self, key: str, size: int, source: Path) -> object:
        if size <= SMALL:
            return self._client.put_object(Bucket=self._bucket, Key=key, Body=source.read_bytes())
        return self._client.upload_file(str(source), self._bucket, key, Config=self._transfer)


class Google:
    def __init__(self, endpoint: str, bucket: str) -> None:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415

        client = storage.Client("bench", AnonymousCredentials(), client_options={"api_endpoint": endpoint})
        client._http.mount("http://", HTTPAdapter(pool_connections=POOL, pool_maxsize=POOL))
        self._bucket: Any = client.bucket(bucket)

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        for blob in self._bucket.list_blobs(prefix=prefix):
            yield blob.name, blob.size

    def get(self, key: str, size: int, target: Path) -> object:
        return self._bucket.blob(key).download_to_filename(str(target), checksum=None, raw_download=True)

    def put(self, key: str, size: int, source: Path) -> object:
        return self._bucket.blob(key).upload_from_filename(str(source), checksum=None)


class Azure:
    def __init__(self, endpoint: str, bucket: str) -> None:
        from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415
        from azure.storage.blob import ContainerClient  # noqa: PLC0415
        from requests import Session  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415

        session = Session()
        session.mount("http://", HTTPAdapter(pool_connections=POOL, pool_maxsize=POOL))
        credential = {"account_name": os.environ["AZURE_STORAGE_ACCOUNT"], "account_key": os.environ["AZURE_STORAGE_KEY"]}
        self._container: Any = ContainerClient(
            endpoint,
            bucket,
            credential=credential,
            transport=RequestsTransport(session=session, session_owner=False),
            max_single_put_size=SMALL,
            max_single_get_size=SMALL,
            max_block_size=16 << 20,
        )

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        for blob in self._container.list_blobs(name_starts_with=prefix):
            yield blob.name, blob.size

    def get(self, key: str, size: int, target: Path) -> object:
        with target.open("wb") as file:
            return self._container.download_blob(key, max_concurrency=4).readinto(file)

    def put(self, key: str, size: int, source: Path) -> object:
        with source.open("rb") as file:
            return self._container.upload_blob(key, file, length=size, max_concurrency=4, overwrite=True)


def main() -> None:
    """Copies; raises what went wrong."""
    kind, endpoint, name, threads, direction, prefix, directory = sys.argv[1:]
    kinds: dict[str, type[S3 | Google | Azure]] = {"s3": S3, "gcs": Google, "azure": Azure}
    bucket: Bucket = kinds[kind](endpoint, name)
    root = Path(directory)
    items = bucket.keys(prefix) if direction == "get" else ((prefix + path.name, path.stat().st_size) for path in root.iterdir())
    copy = bucket.get if direction == "get" else bucket.put
    with ThreadPoolExecutor(int(threads)) as pool:
        while batch := list(islice(items, 1000)):
            for _ in pool.map(lambda item: copy(item[0], item[1], root / item[0].removeprefix(prefix)), batch):
                pass


if __name__ == "__main__":
    main()
