"""The state of the machine as the cluster can change it, compared before and after."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testbed import network
from testbed.containers import CGROUPS, command_lines, container_pids
from testbed.layout import HOME, RUN

BEFORE = HOME / "before.json"
DIRECTORIES = (
    "/run/netns", "/run/containerd", "/run/runc", "/run/datums-testbed", "/run/kubernetes", "/etc/cni", "/etc/kubernetes",
    "/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/containers", "/var/lib/etcd", "/var/lib/kube-proxy",
    "/var/log/containers", "/var/log/pods", "/usr/libexec/kubernetes",
)  # fmt: skip
"""Where container runtimes and Kubernetes keep things on a machine."""
SETTINGS = ("net/ipv4/conf/all", "net/ipv4/conf/default", "net/ipv6/conf/all", "net/bridge", "net/netfilter", "vm", "kernel/keys")
SINGLE_SETTINGS = ("net/ipv4/ip_forward", "kernel/panic", "kernel/panic_on_oops")
COUNTERS = ("nf_conntrack_count", "nf_log")


def remember() -> None:
    """Writes the state down; to be called before the cluster changes anything."""
    BEFORE.parent.mkdir(parents=True, exist_ok=True)
    BEFORE.write_text(json.dumps(sorted(state()), indent=0))


def left() -> list[str] | None:
    """What is on the machine now and was not before, or the other way round; None when nothing was remembered."""
    if not BEFORE.exists():
        return None
    before, after = set(json.loads(BEFORE.read_text())), set(state())
    return [f"new: {trace}" for trace in sorted(after - before)] + [f"gone: {trace}" for trace in sorted(before - after)]


def state() -> Iterator[str]:
    """One line for each thing."""
    yield from (f"mount {point}" for point in _mounts())
    yield from (f"interface {link.name}" for link in Path("/sys/class/net").glob("*"))
    for family in network.FAMILIES:
        yield from (f"{family} {table} {line}" for table, line in network.rules(network.saved_rules(family)))
    yield from (f"route {line}" for line in _output("ip", "route", "show", "table", "all"))
    yield from (f"cgroup {path}" for path in _cgroups())
    yield from (f"process {line}" for line in _processes())
    for directory in DIRECTORIES:
        yield from (f"file {path}" for path in (Path(directory), *Path(directory).rglob("*")) if path.exists() or path.is_symlink())
    yield from (f"setting {name} = {value}" for name, value in _settings())


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, point, kind = line.split()[:3]
        yield f"{point} ({kind} {device})"


def _cgroups() -> Iterator[Path]:
    """Of the first level below every hierarchy; deeper ones go with them."""
    yield from (path for pattern in ("*", "*/*") for path in CGROUPS.glob(pattern) if path.is_dir())


def _processes() -> Iterator[str]:
    """Those that have to do with the testbed; others come and go."""
    pods = set(container_pids())
    for pid, line in command_lines():
        shown = line.replace(b"\0", b" ").decode(errors="replace").strip()
        if pid in pods or str(RUN) in shown or shown.startswith(f"{HOME}/bin"):
            yield shown[:120]


def _settings() -> Iterator[tuple[str, str]]:
    root = Path("/proc/sys")
    files = [root / name for name in SINGLE_SETTINGS]
    for directory in SETTINGS:
        files += [file for file in (root / directory).glob("*") if file.is_file() and not file.name.startswith(COUNTERS)]
    for file in files:
        try:
            yield str(file.relative_to(root)), " ".join(file.read_text().split())
        except OSError:  # some may only be written
            continue


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
