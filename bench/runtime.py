"""By what `fetch` and `ship` run: the Python and the files of the project's image, as in pods, or those of a checkout.

One Python is not as fast as another: what was built without profiling (pyenv's) takes half as long again as Debian's for the same
work, and a development environment has more to look through at its start than the image has.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from testbed import buildah
from testbed.errors import SetupError
from testbed.images import DEFAULT_IMAGE

_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
_TELL = """
import hashlib, os, platform, time
import datums
data = bytes(1 << 22)
began = time.process_time()
for _ in range(128):
    hashlib.sha256(data)
spent = (time.process_time() - began) * 2
print(f"Python {platform.python_version()}, {os.path.dirname(datums.__file__)}; SHA-256: {spent:.2f} CPU seconds a GiB")
"""


def _everything(path: Path) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@dataclass(frozen=True)
class Runtime:
    """How a module of ours is run."""

    python: Sequence[str | Path]
    """The beginning of a command that `-m` and a module follow."""
    environment: Mapping[str, str]
    sees: Callable[[Path], AbstractContextManager[None]] = field(default=_everything)
    """While this is open, what runs finds a directory where it is here."""

    @property
    def title(self) -> str:
        """Which Python and which files, and how long SHA-256 takes here: most of what verifying costs."""
        told = subprocess.run([*self.python, "-c", _TELL], env=dict(self.environment), check=True, capture_output=True, text=True)
        return told.stdout.strip()


def of_checkout(source: Path) -> Runtime:
    """The files of a checkout, by the Python that runs this.

    Args:
        source: its `operator/`.
    """
    return Runtime([sys.executable], {"PYTHONPATH": str(source.resolve())})


@contextlib.contextmanager
def of_image() -> Iterator[Runtime]:
    """The project's image, built from this checkout where it has changed. Needs root.

    Raises:
        SetupError: this is not root.
    """
    if os.geteuid() != 0:
        raise SetupError("what the image runs is measured as root; give --source operator to measure the checkout by this Python")
    _have_mounts_of_our_own()
    with buildah.mounted(DEFAULT_IMAGE) as (root, environment):

        @contextlib.contextmanager
        def sees(path: Path) -> Iterator[None]:
            inside = root / path.relative_to("/")
            inside.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--rbind", path, inside], check=True)
            try:
                yield
            finally:
                subprocess.run(["umount", "--recursive", "--lazy", inside], check=True)

        with sees(Path("/dev")), sees(Path("/proc")):
            yield Runtime([shutil.which("chroot") or "chroot", root, "python3"], environment, sees)


def _have_mounts_of_our_own() -> None:
    """What is mounted from now on is gone with this process and its children, however they end."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
