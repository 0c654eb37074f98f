"""The demo's bucket on the S3 server in the cluster, reached as any client outside the cluster reaches it: by a port-forward."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from demo.tools import ROOT, DemoError, environment, kubectl, output

BUCKET = "datums-demo"
_LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Server:
    """An S3 server in the cluster."""

    endpoint: str
    """As pods reach it."""
    namespace: str
    service: str
    port: str
    keys: dict[str, str]
    """Name of the environment variable → value, as the Secret has them."""

    @classmethod
    def deployed(cls) -> Server:
        """The server, deployed where it was not yet."""
        told = json.loads(output(sys.executable, "-m", "testbed", "s3", "--format", "json").splitlines()[-1])
        secret = json.loads(kubectl(told["namespace"], "get", "secret", told["secret"], "-o", "json"))["data"]
        keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
        return cls(told["endpoint"], told["namespace"], told["service"], told["endpoint"].rpartition(":")[2].strip("/"), keys)

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[str]:
        """Its URL on this machine."""
        command = ["kubectl", "--namespace", self.namespace, "port-forward", f"service/{self.service}", f":{self.port}"]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as forward:
            try:
                assert forward.stdout is not None and forward.stderr is not None
                listens = _LISTENS.search(forward.stdout.readline())
                if not listens:
                    forward.terminate()
                    raise DemoError(f"kubectl port-forward to the S3 server failed: {forward.stderr.read().strip()}")
                yield f"http://127.0.0.1:{listens[1]}"
            finally:
                forward.terminate()

    def client(self, url: str) -> Any:
        """An S3 client on this machine."""
        return boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )

    def make_bucket(self, name: str = BUCKET) -> None:
        """Makes the bucket where it is not there yet."""
        with self.forwarded() as url:
            s3 = self.client(url)
            if name not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
                s3.create_bucket(Bucket=name)

    def read(self, key: str) -> bytes:
        """The content of an object."""
        with self.forwarded() as url:
            content: bytes = self.client(url).get_object(Bucket=BUCKET, Key=key)["Body"].read()
            return content
