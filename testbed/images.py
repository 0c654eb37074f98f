"""All images that tests and the demo need, built where something has changed, and loaded into the cluster."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from testbed import binaries, buildah, containers, programs
from testbed.errors import SetupError
from testbed.machine import check_can_run_node
from testbed.oci import manifest_digest
from testbed.progress import Step

DEFAULT_IMAGE = "datums:dev"
Loader = Callable[[str, Path], None]
"""Takes an image's name and its OCI archive."""


def load_images(project_image: str = DEFAULT_IMAGE, current: bool = False) -> list[str]:
    """Builds and loads; returns the images' names. `current`: into the cluster that KUBECONFIG names."""
    check_can_run_node()
    load = _loader_of(_current_context()) if current else load_into_testbed
    if not current and containers.ctr("version").returncode:
        raise SetupError("the cluster is not up: `make cluster` first")
    archives: dict[str, Callable[[], Path]] = {
        programs.SEAWEEDFS_IMAGE: programs.seaweedfs,
        programs.NOSHELL_IMAGE: programs.noshell,
        buildah.PYTHON_IMAGE: buildah.python,
        project_image: lambda: buildah.project(project_image),
    }
    for name, make in archives.items():
        load(name, make())
    return list(archives)


def load_into_testbed(name: str, archive: Path) -> None:
    """Loads the image unless the node has this very one."""
    if containers.image_digests().get(buildah.full_name(name)) != manifest_digest(archive):
        with Step(f"loading {name}"):
            containers.import_image(archive)


def _loader_of(context: str) -> Loader:
    """How images come into a cluster on this machine; raises for one elsewhere, which pulls them from a registry."""
    kind, prefix, name = context.partition("kind-")
    if prefix and not kind:
        return lambda _, archive: _load_by("kind", "load", "image-archive", str(archive), "--name", name)
    if context == "minikube":
        return lambda _, archive: _load_by("minikube", "image", "load", str(archive))
    raise SetupError(
        f"the cluster of the context {context!r} takes its images from a registry: push the project's image (docker build .) "
        "to one that it can pull from, and run what you want with IMAGE=<that name>; the test images are archives in "
        f"{programs.ARCHIVES} once they have been built"
    )


def _load_by(*command: str) -> None:
    if not shutil.which(command[0]):
        raise SetupError(f"the current context is a cluster of {command[0]}, and the command {command[0]} is not found: install it")
    with Step(f"{command[0]} loads {Path(next(part for part in command if part.endswith('.tar'))).name}"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SetupError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-400:]}")


def _current_context() -> str:
    done = subprocess.run([binaries.kubectl(), "config", "current-context"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError("CLUSTER=current needs a kubeconfig with a current context: set KUBECONFIG, or leave CLUSTER out")
    return done.stdout.strip()
