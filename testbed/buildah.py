"""Images that need a builder: the base from Debian's packages, the project's from its Dockerfile. No registry is asked."""

import contextlib
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from testbed import packages
from testbed.errors import SetupError
from testbed.layout import CACHE, HOME, REPOSITORY
from testbed.machine import GIB, check_disk
from testbed.oci import ImageConfig, archive_key, manifest_digest, write_archive
from testbed.programs import ARCHIVES, make_room_for
from testbed.progress import Step

BASE_IMAGE = "library/debian:trixie-slim"
"""The name in the Dockerfile's FROM, so that the same Dockerfile builds here and where there is a registry."""
PYTHON_IMAGE = "datums-testbed/python:3"
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUITE, INCLUDED = "trixie", "ca-certificates,python3"
NOT_IN_THE_BASE = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./var/log/*.log", "./dev/*", "./proc/*")
STORAGE = HOME / "buildah"
LAYERS_KEPT = 200
OF_THE_MACHINE = ("/etc/ssl/certs", "/etc/pip.conf")
"""Given to RUN lines, never to the image: a machine may reach its package indexes through an authority of its own."""


def base() -> Path:
    """Debian with Python, by the name that Dockerfiles know; a minute the first time."""
    return _base_archive("base", f"docker.io/{BASE_IMAGE}", ["bash"])


def python() -> Path:
    """The same Debian as an image that users' commands run in."""
    return _base_archive("python", f"docker.io/{PYTHON_IMAGE}", ["python3"])


def project(image: str) -> Path:
    """The project's image, built when anything that goes into it has changed."""
    dockerfile = REPOSITORY / "Dockerfile"
    ignore = REPOSITORY / ".containerignore"
    for file in (dockerfile, ignore):
        if not file.exists():
            raise SetupError(f"{file.name} is missing in {REPOSITORY}: the project's image cannot be built without it")
    base_archive = base()
    digest = hashlib.sha256(f"{image} {manifest_digest(base_archive)}".encode())
    for path in (dockerfile, ignore, *context_files(ignore)):
        digest.update(f"{path.relative_to(REPOSITORY)} {path.stat().st_mode} {path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    archive = ARCHIVES / f"project-{digest.hexdigest()[:12]}.tar"
    if not archive.exists():
        packages.ensure(packages.IMAGES)
        check_disk(HOME, 3 * GIB, f"building {image}")
        with Step(f"building {image}") as step:
            _load_base(base_archive)
            volumes = [f"--volume={path}:{path}:ro" for path in OF_THE_MACHINE if Path(path).exists()]
            _buildah("build", "--pull-never", "--layers", "--force-rm", "--format=oci", *volumes, "--tag", full_name(image),
                     "--file", str(dockerfile), str(REPOSITORY), step=step)  # fmt: skip
            new = archive.with_suffix(".new")
            new.unlink(missing_ok=True)
            _buildah("push", "--quiet", "--disable-compression", full_name(image), f"oci-archive:{new}:{full_name(image)}")
            make_room_for(archive)
            new.rename(archive)
            _forget_layers()
    return archive


@contextlib.contextmanager
def mounted(image: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """The project's image as a directory, what is written there being gone afterwards; and its environment."""
    archive = project(image)
    packages.ensure(packages.IMAGES)
    container = _buildah("from", "--pull-never", f"oci-archive:{archive}")[-1]
    try:
        config = json.loads("".join(_buildah("inspect", container)))["OCIv1"]["config"]
        yield Path(_buildah("mount", container)[-1]), dict(entry.split("=", 1) for entry in config["Env"])
    finally:
        _buildah("rm", container)


def context_files(ignore: Path) -> list[Path]:
    """What the build may read: the ignore file forbids all (`*`) and allows paths again (`!path`)."""
    lines = [line.strip() for line in ignore.read_text().splitlines() if line.strip() and not line.startswith("#")]
    if "*" not in lines:
        raise SetupError(f"{ignore.name} must begin with a line `*` and allow by `!path`: the build's context stays small so")
    files: set[Path] = set()
    for line in lines:
        if line.startswith("!"):
            allowed = ignore.parent / line[1:]
            files.update(path for path in (allowed, *allowed.rglob("*")) if path.is_file())
    return sorted(path for path in files if "__pycache__" not in path.parts)


def full_name(image: str) -> str:
    """The name by which the kubelet looks an image up: `datums:dev` is `docker.io/library/datums:dev`."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first or first == "localhost" else f"docker.io/{image}"


def _base_archive(stem: str, name: str, command: list[str]) -> Path:
    layer, config = _base_layer(), ImageConfig(command=command, environment={"PATH": BASE_PATH})
    archive = ARCHIVES / f"{stem}-{archive_key(name, layer.stat().st_mtime_ns, config)}.tar"
    if not archive.exists():
        make_room_for(archive)
        write_archive(archive, name, layer, config)
    return archive


def _base_layer() -> Path:
    layer = CACHE / f"{SUITE}.layer"
    if layer.exists():
        return layer
    packages.ensure(packages.IMAGES)
    check_disk(CACHE, 2 * GIB, "the base image")
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with Step(f"making the base image of Debian {SUITE}") as step, tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        root = Path(temporary, "root")
        _run(["debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(root)], step)
        new = layer.with_suffix(".new")
        excluded = [f"--exclude={pattern}" for pattern in NOT_IN_THE_BASE]
        _run(["tar", "--create", "--numeric-owner", "--sort=name", *excluded, f"--file={new}", f"--directory={root}", "."], step)
        new.rename(layer)
    return layer


def _load_base(archive: Path) -> None:
    """Into buildah's own storage, unless this very base is there."""
    stamp = STORAGE / "base"
    digest = manifest_digest(archive)
    if not stamp.exists() or stamp.read_text() != digest:
        _buildah("pull", "--quiet", f"oci-archive:{archive}")
        stamp.write_text(digest)


def _forget_layers() -> None:
    """Keeps the cache of layers bounded: past some twenty builds all of it goes, and the next build takes half a minute."""
    if len(_buildah("images", "--all", "--quiet")) > LAYERS_KEPT:
        _buildah("rmi", "--all", "--force")
        (STORAGE / "base").unlink()


def _buildah(*arguments: str, step: Step | None = None) -> list[str]:
    storage = ["--root", str(STORAGE / "storage"), "--runroot", str(STORAGE / "run"), "--storage-driver", "overlay",
               "--storage-opt", "skip_mount_home=true"]  # fmt: skip
    return _run(["buildah", *storage, *arguments], step)


def _run(command: list[str], step: Step | None = None) -> list[str]:
    """The lines that the command prints."""
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "LC_ALL": "C.UTF-8"}
    child = subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed: list[str] = []
    with child:
        for line in child.stdout or ():
            printed.append(line.rstrip())
            if step:
                step.say(printed[-1].strip())
    if child.returncode:
        end = "\n    ".join(printed[-15:])
        raise SetupError(f"{Path(command[0]).name} failed:\n    {end}")
    return printed
