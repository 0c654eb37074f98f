"""Programs that come from the npm registry, each with a lock file that holds the digest of every package."""

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed.errors import SetupError
from testbed.layout import CACHE
from testbed.lock import locked
from testbed.progress import Step

LOCKS: Final = Path(__file__).parent / "npm_packages"


@dataclass(frozen=True)
class NpmProgram:
    """A program of a package; `npm_packages/<package>` holds the lock."""

    package: str
    script: str
    """The program's file in the package."""

    def path(self) -> Path:
        """The program's file, to be run by `node`; installed when it is not there."""
        directory = CACHE / "npm" / f"{self.package}-{self._digest()}"
        if not directory.exists():
            with locked(CACHE / "npm" / ".lock"):
                if not directory.exists():  # whoever had the lock may have installed it
                    self._install(directory)
        return directory / "node_modules" / self.package / self.script

    def _install(self, directory: Path) -> None:
        npm = shutil.which("npm")
        if npm is None or not shutil.which("node"):
            raise SetupError(f"{self.package} needs node and npm: install them (Debian: apt-get install nodejs npm)")
        with (
            Step(f"installing {self.package} from the npm registry"),
            tempfile.TemporaryDirectory(dir=directory.parent) as temporary,
        ):
            made = Path(temporary, "made")
            shutil.copytree(LOCKS / self.package, made)
            # No package's own scripts: what the lock names is unpacked, and nothing of it is run.
            command = [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SetupError(f"npm ci of {self.package} failed: {done.stderr.strip()[-600:]}")
            made.rename(directory)

    def _digest(self) -> str:
        return hashlib.sha256((LOCKS / self.package / "package-lock.json").read_bytes()).hexdigest()[:12]


AZURITE: Final = NpmProgram("azurite", "dist/src/blob/main.js")
