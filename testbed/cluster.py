"""The whole cluster: up, down, status. `up` compares what runs with what should run and starts the difference."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from testbed import binaries, containers, network, orphans, packages, traces
from testbed.apiclient import ApiClient, answers, wait_until
from testbed.components import (
    CLUSTER_ENDPOINTS,
    CONTAINERD_SOCKET,
    HEALTH,
    NODE,
    NODE_ADDRESS,
    PAUSE_IMAGE,
    PORTS,
    SERVICE_ADDRESS,
    cluster_commands,
    cni_config,
    containerd_config,
    kubelet_config,
    proxy_config,
)
from testbed.errors import SetupError
from testbed.layout import BIN, CLUSTER, HOME, RUN, Place
from testbed.machine import GIB, check_can_run_node, check_disk, check_port_free
from testbed.oci import manifest_digest
from testbed.pki import Authority, write_private
from testbed.processes import Command, Process, boot_id, stop_all
from testbed.programs import pause
from testbed.progress import Step

COMPONENTS = tuple(cluster_commands(BIN, CLUSTER))
OWNER = RUN / "owner"
BOOT = CLUSTER.root / "boot"
SETTINGS = CLUSTER.root / "kernel-settings.json"
START_SECONDS = 90.0
"""How long one component may take until it is ready; seconds as a rule, more on a machine that is busy."""
DISK_BYTES = 3 * GIB
"""Images, containers and their files, above the kubelet's eviction threshold of 1 GiB."""


def up() -> Path:
    """Brings the cluster up, or sees that it is; returns the path of its kubeconfig."""
    check_can_run_node()
    packages.ensure(packages.NODE)
    commands = cluster_commands(binaries.hyperkube(), CLUSTER)
    binaries.kubectl()
    binaries.helm()
    _check_owner()
    if BOOT.exists() and BOOT.read_text() != boot_id():
        down()  # the machine was restarted: what is left of the cluster does not fit together
    if not BOOT.exists():
        check_disk(HOME, DISK_BYTES, "the cluster")
        traces.remember()
    _configure()
    network.up(SETTINGS)
    if not is_up(commands):
        with Step("starting the cluster") as step:
            _start(commands, step)
    return CLUSTER.kubeconfig


def is_up(commands: Mapping[str, Command]) -> bool:
    """Every component runs as it should, and the node is ready."""
    if not CLUSTER.kubeconfig.exists() or not all(_process(name).is_current(command) for name, command in commands.items()):
        return False
    api = _api()
    healthy = api.is_ready() and api.node_is_ready(NODE) and all(answers(url) for url in HEALTH.values())
    return healthy and _has_pause_image()


def down() -> None:
    """Ends everything, whatever state it is in, and removes what it made on the machine."""
    check_can_run_node()
    _check_owner()
    with Step("taking the cluster down"):
        orphans.end_abandoned()
        # The kubelet first: it would start again what is being removed.
        stop_all([_process("kubelet")])
        others = (_process(name) for name in COMPONENTS if name not in ("kubelet", "containerd"))
        stop_all(others, patience=1.0)  # the API server would wait for its watchers, and etcd's data is thrown away
        containerd = cluster_commands(BIN, CLUSTER)["containerd"]
        if BOOT.exists() and _process("containerd").pid() is None and containerd.files[0].exists():
            RUN.mkdir(mode=0o711, exist_ok=True)
            _start_containerd(containerd)  # it was killed: what it had started is removed through it
        if _process("containerd").pid() is not None:
            containers.remove_all()
        stop_all([_process("containerd")])
        containers.sweep()
        network.down(SETTINGS)
        for directory in ("etcd", "kubelet", "pod-logs", "volume-plugins"):
            shutil.rmtree(CLUSTER.data / directory, ignore_errors=True)
        for file in (BOOT, CLUSTER.kubeconfig):
            file.unlink(missing_ok=True)


def purge() -> None:
    """`down`, and removes `.testbed`; beside the cluster of another checkout it removes the files alone."""
    if _other_owner() is None:
        down()
    else:
        orphans.end_all()
    shutil.rmtree(HOME, ignore_errors=True)


def check_clean() -> None:
    """Raises with what the cluster left on the machine after `down`."""
    if any(_process(name).pid() for name in COMPONENTS):
        raise SetupError("the cluster is up: `make cluster-down` first, then this says what is left of it")
    found = traces.left()
    if found is None:
        raise SetupError("there is nothing to compare with: `make cluster` writes down how the machine was before")
    if found:
        raise SetupError("the machine is not as it was before the cluster:\n    " + "\n    ".join(found))


def status() -> list[str]:
    """One line for each component, then the API server's word and the node's."""
    lines = []
    for name in COMPONENTS:
        pid = _process(name).pid()
        lines.append(f"{name:<24} {f'runs, pid {pid}' if pid else 'does not run'}")
    if (CLUSTER.pki / "admin.crt").exists():
        api = _api()
        lines.append(f"{'API server':<24} {'ready' if api.is_ready() else 'not ready'} at {CLUSTER_ENDPOINTS.server}")
        lines.append(f"{'node':<24} {'ready' if api.node_is_ready(NODE) else 'not ready'}")
    return lines


def _start(commands: Mapping[str, Command], step: Step) -> None:
    _ensure(commands["etcd"])
    _start_containerd(commands["containerd"])
    _ensure(commands["kube-apiserver"])
    if not _has_pause_image():
        containers.import_image(pause())
    api = _api()
    step.say("waiting for the API server")
    _wait_until(api.is_ready, "the API server", "kube-apiserver")
    for name in ("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        _ensure(commands[name])
    step.say("waiting for the node")
    for name, url in HEALTH.items():
        _wait_until(partial(answers, url), f"a healthy {name}", name)
    _wait_until(lambda: api.node_is_ready(NODE), "a ready node", "kubelet")
    _wait_until(api.has_default_account, "the default service account", "kube-controller-manager")
    for name in COMPONENTS:
        _process(name).check_alive()
    write_private(CLUSTER.kubeconfig, Authority(CLUSTER.pki).kubeconfig("admin", CLUSTER_ENDPOINTS.server))


def _configure() -> None:
    """Certificates, kubeconfigs and configuration files; what exists and is the same stays untouched."""
    CLUSTER.create()
    RUN.mkdir(mode=0o711, exist_ok=True)
    OWNER.write_text(str(HOME))
    BOOT.write_text(boot_id())
    authority = Authority(CLUSTER.pki)
    authority.create()
    kubernetes = [f"DNS:{name}" for name in ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")]
    addresses = [f"IP:{address}" for address in ("127.0.0.1", NODE_ADDRESS, SERVICE_ADDRESS)]
    authority.issue("apiserver", "kube-apiserver", names=[*kubernetes, *addresses])
    authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")
    authority.issue("admin", "admin", "system:masters")
    authority.issue("node", f"system:node:{NODE}", "system:nodes", [f"DNS:{NODE}", f"IP:{NODE_ADDRESS}"])
    for component in ("controller-manager", "scheduler", "proxy"):
        authority.issue(component, f"system:kube-{component}")
    for bearer, file in (("controller-manager", "controller-manager"), ("scheduler", "scheduler"),
                         ("node", "kubelet"), ("proxy", "kube-proxy")):  # fmt: skip
        kubeconfig = authority.kubeconfig(bearer, CLUSTER_ENDPOINTS.server)
        write_private(CLUSTER.config / f"{file}.kubeconfig", kubeconfig)
    write_private(CLUSTER.config / "containerd.toml", containerd_config(CLUSTER))
    write_private(CLUSTER.config / "kubelet.yaml", kubelet_config(CLUSTER))
    write_private(CLUSTER.config / "kube-proxy.yaml", proxy_config(CLUSTER))
    write_private(CLUSTER.config / "resolv.conf", "nameserver 127.0.0.1\n")
    (CLUSTER.config / "cni").mkdir(exist_ok=True)
    write_private(CLUSTER.config / "cni" / "10-bridge.conflist", cni_config())


def _ensure(command: Command) -> None:
    """Starts the component unless it runs with this very command and configuration."""
    process = _process(command.name)
    if process.is_current(command):
        return
    stop_all([process])
    for address, port in PORTS.get(command.name, ()):
        check_port_free(address, port, command.name)
    process.start(command)


def _start_containerd(command: Command) -> None:
    if not _process("containerd").is_current(command):
        CONTAINERD_SOCKET.unlink(missing_ok=True)  # a stale one would look like a server
    _ensure(command)
    _wait_until(lambda: containers.ctr("version").returncode == 0, "containerd", "containerd")


def _wait_until(done: Callable[[], bool], what: str, component: str) -> None:
    wait_until(done, what, START_SECONDS, _process(component).check_alive, CLUSTER.logs)


def _has_pause_image() -> bool:
    return containers.image_digests().get(f"docker.io/{PAUSE_IMAGE}") == manifest_digest(pause())


def _check_owner() -> None:
    """Two checkouts cannot have a node each on one machine: they would share bridge, ports and cgroups."""
    if other := _other_owner():
        raise SetupError(f"the cluster of another checkout is up on this machine: `make -C {other.root.parent} cluster-down` first")


def _other_owner() -> Place | None:
    """The checkout whose cluster is up on this machine, when it is not this one."""
    if not OWNER.exists() or OWNER.read_text() == str(HOME):
        return None
    other = Place(Path(OWNER.read_text()))
    return other if any(_process(name, other).pid() is not None for name in COMPONENTS) else None


def _process(name: str, place: Place = CLUSTER) -> Process:
    return Process(name, place.processes, place.logs)


def _api() -> ApiClient:
    return ApiClient(CLUSTER_ENDPOINTS.server, CLUSTER.pki)
