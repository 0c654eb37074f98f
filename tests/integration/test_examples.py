"""Every example, and every object in the guides, is what the API server takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from datums.api.datastore import BLOCKS
from datums.control.kube import DATASTORES, EXECUTIONS, Kube
from tests.integration.kube_fixture import ROOT

RESOURCES = {resource.kind: resource for resource in (DATASTORES, EXECUTIONS)}
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def objects() -> list[Any]:
    examples = {path: path.read_text() for path in sorted((ROOT / "examples").glob("**/*.yaml"))}
    guides = {path: "---\n".join(FENCE.findall(path.read_text())) for path in sorted((ROOT / "docs").glob("**/*.md"))}
    return [
        pytest.param(body, id=f"{path.relative_to(ROOT)} {body['metadata'].get('name', '')}".strip())
        for path, text in (examples | guides).items()
        for body in yaml.safe_load_all(text)
        if body and body.get("kind") in RESOURCES
    ]


@pytest.mark.parametrize("body", objects())
async def test_it_is_taken(kube: Kube, namespace: str, body: dict[str, Any]) -> None:
    meta = {"name": body["metadata"].get("name", "example")}
    text = yaml.safe_dump({**body, "metadata": meta}).replace("datum://<id>", f"datum://{'0' * 36}")
    await kube.create(RESOURCES[body["kind"]], namespace, yaml.safe_load(text), strict=True)


def test_there_is_one_for_each_kind_of_store() -> None:
    shown = {(Path(case.id or "").parts[0], block) for case in objects() for block in BLOCKS if block in case.values[0]["spec"]}
    assert shown == {(where, block) for where in ("docs", "examples") for block in BLOCKS}
