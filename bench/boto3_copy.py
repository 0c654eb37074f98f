"""A copy by boto3, as a program of its own: `boto3_copy.py ENDPOINT BUCKET THREADS get|put PREFIX DIRECTORY`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

SMALL = 8 << 20


def main() -> None:
    """Copies; raises what went wrong."""
    endpoint, bucket, threads, direction, prefix, directory = sys.argv[1:]
    config = Config(
        max_pool_connections=64,
        s3={"addressing_style": "path", "payload_signing_enabled": False},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.client("s3", endpoint_url=endpoint, config=config)
    transfer = TransferConfig(
        multipart_threshold=SMALL,
        multipart_chunksize=16 << 20,
        max_concurrency=8,
        io_chunksize=1 << 20,
        max_io_queue=64,
        preferred_transfer_client="classic",
    )
    root = Path(directory)

    def get(item: tuple[str, int]) -> None:
        key, size = item
        target = root / key.removeprefix(prefix)
        if size <= SMALL:
            target.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
        else:
            client.download_file(bucket, key, str(target), Config=transfer)

    def put(item: tuple[str, int]) -> None:
        key, size = item
        source = root / key.removeprefix(prefix)
        if size <= SMALL:
            client.put_object(Bucket=bucket, Key=key, Body=source.read_bytes())
        else:
            client.upload_file(str(source), bucket, key, Config=transfer)

    def listed() -> Iterator[tuple[str, int]]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                yield each["Key"], each["Size"]

    def found() -> Iterator[tuple[str, int]]:
        for path in root.iterdir():
            yield prefix + path.name, path.stat().st_size

    copy: Callable[[tuple[str, int]], Any] = get if direction == "get" else put
    items = listed() if direction == "get" else found()
    with ThreadPoolExecutor(int(threads)) as pool:
        while batch := list(islice(items, 1000)):
            for _ in pool.map(copy, batch):
                pass


if __name__ == "__main__":
    main()
