"""Debian packages, installed only where their program is missing."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from testbed.errors import SetupError
from testbed.progress import Step

NODE = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "sysctl": "procps",
    "mount": "mount",
    "openssl": "openssl",
    "/usr/bin/catatonit": "catatonit",
}
"""What a node needs: program (by name or path) → package."""

IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
PIP = {"pip": "python3-pip"}
TESTS = {"/bin/busybox": "busybox-static", "/usr/bin/tini-static": "tini", "node": "nodejs", "npm": "npm"}
"""What tests run: what the image brings by itself, and what Azurite runs on."""
LISTS = Path("/var/lib/apt/lists")
LISTS_ARE_FRESH_SECONDS = 24 * 3600


def missing(wanted: Mapping[str, str]) -> list[str]:
    return sorted({package for program, package in wanted.items() if not _is_there(program)})


def ensure(wanted: Mapping[str, str]) -> None:
    """Installs the packages of `wanted` whose programs are missing; does nothing when none is."""
    lacking = missing(wanted)
    if not lacking:
        return
    by_hand = f"install {' '.join(lacking)} (Debian: apt-get install --no-install-recommends {' '.join(lacking)})"
    if not shutil.which("apt-get"):
        raise SetupError(f"packages are missing and this is no Debian: {by_hand}")
    if os.geteuid() != 0:
        raise SetupError(f"packages are missing and only root may install them: {by_hand}")
    with Step(f"installing {', '.join(lacking)}"):
        if not _lists_are_fresh():
            _apt("update")
        try:
            _apt("install", *lacking)
        except SetupError:
            _apt("update")  # a list that is a day old may name versions that the mirror has dropped
            _apt("install", *lacking)
    still = missing(wanted)
    if still:
        raise SetupError(f"apt-get installed {', '.join(still)}, but what they bring is not where it should be: {by_hand}")


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _lists_are_fresh() -> bool:
    newest = max((file.stat().st_mtime for file in LISTS.glob("*Packages*")), default=0.0)
    return time.time() - newest < LISTS_ARE_FRESH_SECONDS


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-y", "-qq", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=120"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        [*command, "--no-install-recommends", *arguments] if arguments[0] == "install" else [*command, *arguments],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip())[-600:]
        raise SetupError(f"apt-get {' '.join(arguments)} failed: {reason}")
