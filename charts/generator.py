"""Generates what the chart repeats: its CRDs from `crds/`, its schema and README table from the comments of values.yaml."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from datums.control.settings import Settings, documented

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts/datums"
TABLE = re.compile(r"(?<=<!-- values -->\n).*(?=<!-- /values -->)", re.DOTALL)

OWN_SETTINGS = frozenset({
    "kubeconfig", "namespaces", "namespace", "pod_name", "lease_name", "image", "image_pull_policy", "image_pull_secrets",
    "bind_address", "metrics_port", "agent_port", "agent_service",
})  # fmt: skip
"""Settings that the chart derives from other values; the others are given in `settings`."""


def comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """The description above a line of values.yaml, and what its `@schema` lines say."""
    words: list[str] = []
    schema: dict[str, Any] = {}
    while line > 0 and (text := lines[line - 1].strip()).startswith("#"):
        text = text.removeprefix("#").strip()
        if text.startswith("@schema "):
            schema |= json.loads(text.removeprefix("@schema "))
        else:
            words.insert(0, text)
        line -= 1
    return " ".join(words), schema


def values(lines: list[str], node: yaml.MappingNode) -> Iterator[tuple[str, str, dict[str, Any], yaml.Node]]:
    """(key, description, extra schema, value) of each key of a mapping."""
    for key, value in node.value:
        yield key.value, *comment(lines, key.start_mark.line), value


def settings_schema() -> dict[str, Any]:
    """The schema of `settings`, from the operator's own."""
    hints = get_type_hints(Settings)
    properties = {
        camel(name): kind(hints[name]) | {"description": doc} for name, _, doc in documented() if name not in OWN_SETTINGS
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def kind(hint: Any) -> dict[str, Any]:
    """The JSON schema of a setting's type."""
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": {"type": "string"}}
    return {"type": {int: "integer", float: "number", str: "string"}[hint]}


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def schema(lines: list[str], node: yaml.Node, *, free: bool = False) -> dict[str, Any]:
    """The JSON schema that a value implies; a mapping with keys takes no others, unless `free`."""
    if isinstance(node, yaml.MappingNode):
        if free or not node.value:
            return {"type": "object"}
        properties = {}
        for key, description, extra, value in values(lines, node):
            implied = settings_schema() if key == "settings" else schema(lines, value, free="additionalProperties" in extra)
            properties[key] = implied | extra | ({"description": description} if description else {})
        return {"type": "object", "additionalProperties": False, "properties": properties}
    if isinstance(node, yaml.SequenceNode):
        return {"type": "array"}
    types = {"tag:yaml.org,2002:int": "integer", "tag:yaml.org,2002:bool": "boolean", "tag:yaml.org,2002:str": "string"}
    return {"type": types[node.tag]}


def rows(lines: list[str], node: yaml.Node, prefix: str = "") -> Iterator[str]:
    """The lines of the README's table."""
    assert isinstance(node, yaml.MappingNode)
    for key, description, extra, value in values(lines, node):
        if isinstance(value, yaml.MappingNode) and value.value and "additionalProperties" not in extra:
            yield from rows(lines, value, f"{prefix}{key}.")
        else:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)))
            yield f"| `{prefix}{key}` | `{default}` | {description} |"


def main() -> None:
    shutil.rmtree(CHART / "files/crds", ignore_errors=True)
    shutil.copytree(ROOT / "crds", CHART / "files/crds")
    text = (CHART / "values.yaml").read_text()
    lines, node = text.splitlines(), yaml.compose(text)
    assert node is not None
    document = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart datums"} | schema(lines, node)
    # Helm itself adds `global`, for charts that have this one as a part.
    document["properties"]["global"] = {"type": "object"}
    (CHART / "values.schema.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    table = "\n".join(["| value | default | meaning |", "|---|---|---|", *rows(lines, node)]) + "\n"
    readme = CHART / "README.md"
    readme.write_text(TABLE.sub(lambda _: table, readme.read_text()))


if __name__ == "__main__":
    main()
