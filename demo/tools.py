"""The programs that the demo calls, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KUBECONFIG = ROOT / ".testbed/kubeconfig"
TOOLS = ROOT / ".testbed/bin"


class DemoError(Exception):
    """The demo cannot go on. The message says why and what to do."""


def say(text: str = "") -> None:
    """Prints a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def is_current_cluster() -> bool:
    """Whether the demo uses the cluster that KUBECONFIG names, not one of its own."""
    return os.environ.get("CLUSTER", "testbed") == "current"


def environment() -> dict[str, str]:
    """The environment of kubectl and helm: those of the testbed come first, and its cluster unless another is wanted."""
    own = {} if is_current_cluster() else {"KUBECONFIG": str(KUBECONFIG)}
    path = os.environ.get("PATH", "")
    return {**os.environ, **own, "PATH": f"{path}{os.pathsep}{TOOLS}" if is_current_cluster() else f"{TOOLS}{os.pathsep}{path}"}


def step(*command: str, hint: str = "Mend what they name and run the same again.") -> None:
    """Runs a command in the repository's root, its output shown.

    Args:
        hint: what to do when it fails.
    """
    try:
        code = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    except FileNotFoundError:
        raise DemoError(f"{command[0]} is not installed") from None
    if code:
        raise DemoError(f"`{' '.join(command)}` failed; its own words are above. {hint}")


def output(*command: str, stdin: str | None = None) -> str:
    """What a command prints."""
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment(), input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DemoError(f"{command[0]} is not installed") from None
    if done.returncode:
        raise DemoError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def kubectl(namespace: str, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl prints."""
    return output("kubectl", "--namespace", namespace, *arguments, stdin=stdin)


def objects(namespace: str, kind: str, *arguments: str) -> list[dict[str, Any]]:
    """The objects of a kind."""
    listed: list[dict[str, Any]] = json.loads(kubectl(namespace, "get", kind, "-o", "json", *arguments))["items"]
    return listed
