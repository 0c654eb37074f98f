"""Images of one layer, written as OCI archives without a builder: the same bytes whenever the content is the same."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.errors import SetupError

MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True)
class ImageConfig:
    """How a container of the image starts when nothing else is said."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""

    def document(self, layer_digest: str) -> dict[str, Any]:
        config = {
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "User": self.user,
        }
        return {
            "architecture": "amd64",
            "os": "linux",
            "config": {key: value for key, value in config.items() if value},
            "history": [{"created_by": "testbed"}],  # buildah counts: one entry for each layer
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }


def archive_key(*parts: object) -> str:
    """A short name for what an archive is made of: its content's description and this very code."""
    return hashlib.sha256(Path(__file__).read_bytes() + repr(parts).encode()).hexdigest()[:12]


def write_layer(files: Mapping[str, Path], target: Path) -> None:
    """An uncompressed layer with executables: path in the image → file. All of them root's, mode 0755."""
    with tarfile.open(target, "w") as archive:
        for name, source in sorted(files.items()):
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size = source.stat().st_size
            member.mode = 0o755
            with source.open("rb") as content:
                archive.addfile(member, content)


def write_archive(target: Path, name: str, layer: Path, config: ImageConfig) -> None:
    """Writes the image `name` (full, with registry and tag) with the tar `layer` as its only layer."""
    with layer.open("rb") as content:
        layer_digest = hashlib.file_digest(content, "sha256").hexdigest()
    image = json.dumps(config.document(layer_digest), sort_keys=True).encode()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}.manifest.v1+json",
        "config": _descriptor(f"{MEDIA}.config.v1+json", hashlib.sha256(image).hexdigest(), len(image)),
        "layers": [_descriptor(f"{MEDIA}.layer.v1.tar", layer_digest, layer.stat().st_size)],
    }).encode()  # fmt: skip
    entry = _descriptor(f"{MEDIA}.manifest.v1+json", hashlib.sha256(manifest).hexdigest(), len(manifest))
    entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [entry]}
    new = target.with_name(f"{target.name}.new")
    with tarfile.open(new, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in (image, manifest):
            _add(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        member = tarfile.TarInfo(f"blobs/sha256/{layer_digest}")
        member.size = layer.stat().st_size
        with layer.open("rb") as content:
            archive.addfile(member, content)
    new.rename(target)


def manifest_digest(archive: Path) -> str:
    """The digest (`sha256:…`) by which a container runtime knows the image of an OCI archive."""
    with tarfile.open(archive) as content:
        member = content.extractfile("index.json")
        if member is None:
            raise SetupError(f"{archive} is no OCI archive: remove it and run this again")
        return str(json.loads(member.read())["manifests"][0]["digest"])


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
