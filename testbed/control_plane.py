"""etcd and an API server on loopback, for integration tests: no root, no node, many beside each other.

`with ControlPlane() as plane:` gives `plane.kubeconfig`, the administrator's.
"""

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from testbed import binaries, orphans
from testbed.apiclient import ApiClient, wait_until
from testbed.components import SERVICE_ADDRESS, ControlPlaneCommands, Endpoints
from testbed.layout import HOME, Place
from testbed.machine import check_port_free, free_ports
from testbed.pki import Authority, write_private
from testbed.processes import Process

PORTS = 4
"""API server, etcd, etcd's peers, controller-manager: `port_base` and the three after it."""


class ControlPlane:
    """One API server with its etcd.

    `directory`: where keys, data and logs go (made when missing); by default a temporary one, removed at the end.
    `port_base`: the API server's port; by default free ports are taken.
    `with_controller_manager`: also garbage collection by ownerReferences, namespace deletion, service accounts.
    """

    def __init__(
        self, directory: Path | None = None, port_base: int | None = None, *, with_controller_manager: bool = False
    ) -> None:
        self._temporary = directory is None
        if directory is None:
            (HOME / "control-planes").mkdir(parents=True, exist_ok=True)
            directory = Path(tempfile.mkdtemp(dir=HOME / "control-planes"))
        self.place = Place(directory.resolve())
        ports = free_ports(PORTS) if port_base is None else list(range(port_base, port_base + PORTS))
        self._ports = ports
        self.endpoints = Endpoints("127.0.0.1", *ports)
        self._with_controller_manager = with_controller_manager

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.place.kubeconfig

    @property
    def server(self) -> str:
        """The API server's address, `https://127.0.0.1:PORT`."""
        return self.endpoints.server

    def start(self, owner: int | None = None) -> None:
        """Starts and waits until it serves; ends nothing by itself unless the process `owner` ends first."""
        orphans.end_abandoned()
        hyperkube = binaries.hyperkube()
        for port in self._ports:
            check_port_free("127.0.0.1", port, "the control plane")
        self._configure()
        orphans.adopt(self.place, owner)
        commands = ControlPlaneCommands(hyperkube, self.place, self.endpoints)
        flags = ["--authorization-mode=RBAC", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]
        if not self._with_controller_manager:
            flags.append("--disable-admission-plugins=ServiceAccount")  # nobody makes the accounts that it asks for
        try:
            self._process("etcd").start(commands.etcd())
            self._process("kube-apiserver").start(commands.apiserver(*flags))
            api = ApiClient(self.server, self.place.pki)
            wait_until(api.is_ready, "the API server", 60, self._check_alive, logs=self.place.logs)
            if self._with_controller_manager:
                controllers = self._process("kube-controller-manager")
                controllers.start(commands.controller_manager())
                wait_until(
                    api.has_default_account, "the default service account", 60, controllers.check_alive, logs=self.place.logs
                )
        except BaseException:
            orphans.end(self.place)
            raise
        write_private(self.kubeconfig, Authority(self.place.pki).kubeconfig("admin", self.server))

    def stop(self) -> None:
        """Ends the processes; the directory stays unless it was a temporary one."""
        stop(self.place.root)
        if self._temporary:
            shutil.rmtree(self.place.root, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start(owner=os.getpid())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    def _configure(self) -> None:
        shutil.rmtree(self.place.data, ignore_errors=True)  # every control plane begins empty
        self.place.create()
        authority = Authority(self.place.pki)
        authority.create()
        authority.issue("apiserver", "kube-apiserver", names=["IP:127.0.0.1", f"IP:{SERVICE_ADDRESS}", "DNS:localhost"])
        authority.issue("admin", "admin", "system:masters")
        if self._with_controller_manager:
            authority.issue("controller-manager", "system:kube-controller-manager")
            kubeconfig = authority.kubeconfig("controller-manager", self.server)
            write_private(self.place.config / "controller-manager.kubeconfig", kubeconfig)

    def _check_alive(self) -> None:
        for name in ("etcd", "kube-apiserver"):
            self._process(name).check_alive()

    def _process(self, name: str) -> Process:
        return Process(name, self.place.processes, self.place.logs)


def stop(directory: Path) -> None:
    """Ends the control plane of a directory, whoever started it; does nothing when none runs."""
    orphans.end(Place(directory.resolve()))
