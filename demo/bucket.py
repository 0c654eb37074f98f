"""The demo's bucket: on the S3 server in the cluster, which is reached by a port-forward, or on the one that
$DEMO_S3_ENDPOINT names."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from demo.tools import ROOT, DemoError, environment, kubectl, output

BUCKET = os.environ.get("DEMO_S3_BUCKET", "datums-demo")
REGION = os.environ.get("AWS_REGION", "us-east-1")
_LISTENS = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Server:
    """An S3 server."""

    endpoint: str
    """As pods reach it."""
    namespace: str
    service: str
    """Empty for a server outside the cluster."""
    port: str
    keys: dict[str, str]
    """Name of the environment variable → value, as the Secret has them."""

    @classmethod
    def deployed(cls) -> Server:
        """The server that the environment names, else the one in the cluster, deployed where it was not yet.

        Raises:
            DemoError: the environment names a server and not its keys.
        """
        if endpoint := os.environ.get("DEMO_S3_ENDPOINT"):
            return cls(endpoint, "", "", "", _keys_of_environment())
        told = json.loads(output(sys.executable, "-m", "testbed", "s3", "--format", "json").splitlines()[-1])
        secret = json.loads(kubectl(told["namespace"], "get", "secret", told["secret"], "-o", "json"))["data"]
        keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
        return cls(told["endpoint"], told["namespace"], told["service"], told["endpoint"].rpartition(":")[2].strip("/"), keys)

    @contextlib.contextmanager
    def forwarded(self) -> Iterator[str]:
        """Its URL on this machine."""
        if not self.service:
            yield self.endpoint
            return
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
            region_name=REGION,
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.keys.get("AWS_SESSION_TOKEN"),
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )

    def make_bucket(self, name: str = BUCKET) -> None:
        """Makes the bucket where it is not there yet."""
        with self.forwarded() as url:
            s3 = self.client(url)
            try:
                s3.head_bucket(Bucket=name)
            except ClientError as error:
                if error.response["Error"]["Code"] != "404":
                    raise DemoError(f"bucket {name} at {self.endpoint} cannot be used: {error}") from None
                s3.create_bucket(Bucket=name)

    def read(self, key: str) -> bytes:
        """The content of an object."""
        with self.forwarded() as url:
            content: bytes = self.client(url).get_object(Bucket=BUCKET, Key=key)["Body"].read()
            return content


def _keys_of_environment() -> dict[str, str]:
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    if missing := [name for name in needed if name not in os.environ]:
        raise DemoError(f"DEMO_S3_ENDPOINT names a server of your own: set {' and '.join(missing)} too")
    return {name: os.environ[name] for name in (*needed, "AWS_SESSION_TOKEN") if name in os.environ}
