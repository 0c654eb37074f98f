"""The chart, rendered by Helm."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/datums"
Object = dict[str, Any]


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text: str) -> None:
        self.objects: list[Object] = [each for each in yaml.safe_load_all(text) if each]

    def all(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "datums") -> Object:
        (found,) = [each for each in self.all(kind) if each["metadata"]["name"] == name]
        return found

    def env(self) -> dict[str, str]:
        """The operator's plain environment variables."""
        (operator,) = self.one("Deployment")["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in operator["env"] if "value" in each}


@pytest.fixture(scope="session")
def helm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Helm: the testbed's, else the machine's."""
    own = ROOT / ".testbed/bin/helm"
    program = str(own) if own.exists() else shutil.which("helm")
    if not program:
        pytest.skip("helm is not installed; `make cluster` brings it")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # Nothing of the person's own configuration, repositories or cluster.
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HELM_CACHE_HOME": "/nonexistent"}
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=env)

    return run


@pytest.fixture
def render(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Rendered]:
    """Renders the chart with `--set` values, as the release `datums` in `sys`."""

    def run(*values: str) -> Rendered:
        given = [part for value in values for part in ("--set", value)]
        done = helm("template", "datums", str(CHART), "--namespace", "sys", "--kube-version", "1.34.4", *given)
        assert done.returncode == 0, done.stderr
        return Rendered(done.stdout)

    return run


@pytest.fixture
def refused(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[str], str]:
    """What Helm says of values that it refuses."""

    def run(value: str) -> str:
        done = helm("template", "datums", str(CHART), "--kube-version", "1.34.4", "--set", value)
        assert done.returncode != 0, f"{value} was taken"
        return done.stderr

    return run
