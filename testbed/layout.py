"""Where everything of the testbed lies. All of it is in `.testbed/` of the checkout, but for sockets and mounts in `/run`."""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
HOME = REPOSITORY / ".testbed"
BIN = HOME / "bin"
CACHE = HOME / "cache"
RUN = Path("/run/datums-testbed")
"""Sockets, network namespaces and container mounts: short (a socket's path has at most 107 bytes) and gone after a reboot."""


@dataclass(frozen=True)
class Place:
    """The directory of one control plane: its keys, logs, configuration, data and the records of its processes."""

    root: Path

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    def create(self) -> None:
        for directory in (self.root, self.pki, self.logs, self.config, self.data, self.processes):
            directory.mkdir(parents=True, exist_ok=True)


CLUSTER = Place(HOME)
