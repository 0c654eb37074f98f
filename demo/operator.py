"""Installs the operator by its chart, as the demo, the stories and the benchmarks use it."""

from __future__ import annotations

import os

from demo.tools import step

DEFAULT_IMAGE = "datums:dev"
"""The project's image, as `make images` builds it."""
SYSTEM = "datums-system"
"""The operator's namespace."""


def install(*arguments: str, release: str = "datums", namespace: str = SYSTEM) -> None:
    """Installs or upgrades the chart with the image that $IMAGE names, and waits until it is ready.

    Args:
        arguments: further ones for helm.
    """
    image, _, tag = os.environ.get("IMAGE", DEFAULT_IMAGE).rpartition(":")
    step(
        "helm", "upgrade", "--install", release, "charts/datums", "--namespace", namespace, "--create-namespace", "--hide-notes",
        "--set", f"image.repository={image}", "--set", f"image.tag={tag}", *arguments, "--wait", "--timeout", "180s",
        hint=f"What keeps it: kubectl -n {namespace} get pods,events; kubectl -n {namespace} logs deployment/{release}",
    )  # fmt: skip
