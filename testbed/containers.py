"""Containers, their shims, mounts and cgroups: what outlives containerd and the kubelet, and how it is ended."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed import leftovers
from testbed.components import CONTAINERD_SOCKET
from testbed.errors import SetupError
from testbed.layout import HOME, RUN
from testbed.processes import end_pids

CGROUPS = Path("/sys/fs/cgroup")


def ctr(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`ctr` on the testbed's containerd, in the namespace of Kubernetes' images and containers."""
    command = ["ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def import_image(archive: Path) -> None:
    """Takes an OCI archive; images that lost their name to it are removed (the kubelet's own collection is off)."""
    done = ctr("images", "import", str(archive))
    if done.returncode:
        raise SetupError(f"containerd did not take {archive.name}: {done.stderr.strip()[-400:]}. Is the cluster up? (make cluster)")
    if nameless := nameless_images(image_digests()):
        ctr("images", "remove", *nameless)


def image_digests() -> dict[str, str]:
    """Name → digest of every image that the node has. A name is `registry/path:tag`, `registry/path@digest` or a digest."""
    rows = (line.split() for line in ctr("images", "list").stdout.splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def nameless_images(images: Mapping[str, str]) -> list[str]:
    """The names of images that have no tag any more."""
    tagged = {digest for name, digest in images.items() if _is_tag(name)}
    return sorted(name for name, digest in images.items() if digest not in tagged)


def _is_tag(name: str) -> bool:
    return "@" not in name and not name.startswith("sha256:")


def remove_all() -> None:
    """Kills and deletes every container through containerd, so that their snapshots go too and the images stay."""
    if tasks := ctr("tasks", "list", "--quiet").stdout.split():
        ctr("tasks", "delete", "--force", *tasks)
    if containers := ctr("containers", "list", "--quiet").stdout.split():
        ctr("containers", "delete", *containers)


def sweep() -> None:
    """Ends and removes what `remove_all` and the components left, also after they were killed."""
    end_pids(container_pids(), patience=0.1)
    end_pids(shim_pids(), patience=2.0)
    for mount in reversed(mounts()):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    for cgroup in cgroups():
        with contextlib.suppress(FileNotFoundError):
            _remove_cgroup(cgroup)
    leftovers.remove()
    if mounts():
        raise SetupError(f"mounts are left: {', '.join(mounts()[:3])}: end the processes that use them, then make cluster-down")
    shutil.rmtree(RUN, ignore_errors=True)


def shim_pids() -> list[int]:
    """Processes whose command line names the testbed's containerd: its shims."""
    wanted = str(CONTAINERD_SOCKET).encode()
    return [pid for pid, line in command_lines() if wanted in line and b"containerd-shim" in line]


def container_pids() -> list[int]:
    """Processes of any pod, by their cgroups."""
    found: set[int] = set()
    for cgroup in cgroups():
        for procs in cgroup.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in procs.read_text().split())
    return sorted(found - {0})


def command_lines() -> Iterable[tuple[int, bytes]]:
    """(pid, arguments, each ended by a zero byte) of every process of the machine."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), (process / "cmdline").read_bytes()


def mounts() -> list[str]:
    """Mount points of the testbed, outer before inner."""
    ours = (f"{HOME}/", f"{RUN}/")
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in (point.encode().decode("unicode_escape") for point in points) if point.startswith(ours)]


def cgroups() -> list[Path]:
    """`kubepods` of every cgroup hierarchy (one with cgroup v2, a dozen with v1)."""
    return sorted({*CGROUPS.glob("kubepods"), *CGROUPS.glob("*/kubepods")})


def _remove_cgroup(cgroup: Path) -> None:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            Path(directory).rmdir()
