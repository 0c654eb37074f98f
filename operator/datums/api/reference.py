"""Writes `docs/reference/`, one page for each kind and one of the reasons: `python -m datums.api.reference [--check]`."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from datums.api import reasons
from datums.api.docstrings import class_doc, own_docs
from datums.api.generated import main
from datums.api.kinds import KINDS
from datums.api.meta import Root
from datums.api.names import API_VERSION, CATEGORY
from datums.api.openapi import Schema, root_schema
from datums.api.wording import bounds, type_name

_FOLDER = Path("docs", "reference")
_HEADER = "<!-- Generated from the types in operator/datums/api by `python -m datums.api.reference`. -->\n\n"
REASONS: Final[dict[str, type[StrEnum]]] = {
    "Execution: Succeeded is Unknown": reasons.Waiting,
    "Execution: Succeeded is True": reasons.Done,
    "Execution: Succeeded is False": reasons.Failed,
    "DataStore: Ready is True": reasons.StoreReady,
    "DataStore: Ready is False": reasons.StoreNotReady,
    "Datum: Succeeded is True": reasons.Verified,
}


def kind_page(cls: type[Root]) -> str:
    """The page of one kind."""
    resource, schema = cls.resource, root_schema(cls)
    names = ", ".join(f"`{name}`" for name in (resource.plural, resource.singular, *resource.short_names))
    lines = [
        f"# {resource.kind}",
        "",
        schema["description"],
        "",
        f"`apiVersion: {API_VERSION}`, `kind: {resource.kind}`; kubectl knows it as {names}, and by the category"
        f" `{CATEGORY}`. The conditions' reasons are on [their own page](reasons.md).",
        "",
        *_rules(schema),
    ]
    for part in ("spec", "status"):
        lines += _section(part, schema["properties"][part])
    lines += ["## kubectl get", "", "| Column | Path | What it says |", "|---|---|---|"]
    for column in resource.columns:
        wide = " (with `-o wide`)" if column.priority else ""
        lines.append(f"| {column.name.upper()}{wide} | `{column.json_path}` | {_cell(column.description)} |")
    if resource.selectable_fields:
        fields = ", ".join(f"`{path.removeprefix('.')}`" for path in resource.selectable_fields)
        lines += ["", f"`--field-selector` takes {fields}, besides `metadata.name` and `metadata.namespace`."]
    return _HEADER + "\n".join(lines) + "\n"


def reasons_page() -> str:
    """The page of the reasons."""
    lines = ["# Reasons", "", "What the `reason` of a condition says, and what to do about it.", ""]
    for title, group in REASONS.items():
        docs = own_docs(group)
        lines += [f"## {title}", "", class_doc(group), "", "| Reason | Meaning |", "|---|---|"]
        lines += [f"| `{reason.value}` | {_cell(docs[reason.name])} |" for reason in group]
        lines.append("")
    return _HEADER + "\n".join(lines)


def _section(path: str, schema: Schema) -> list[str]:
    """The table of an object's fields, followed by the sections of its nested objects."""
    lines = [f"{'#' * min(2 + path.count('.'), 4)} {path}", "", schema["description"], "", *_rules(schema)]
    lines += ["| Field | Type | Default | Description |", "|---|---|---|---|"]
    nested: list[tuple[str, Schema]] = []
    told: set[str] = set()
    for name, field in schema["properties"].items():
        inner = list(_objects(f"{path}.{name}", field))
        nested += inner
        label = f"[`{name}`](#{anchor(inner[0][0])})" if inner else f"`{name}`"
        lines.append(f"| {label} | {_cell(_type(field))} | {_default(name, field, schema)} | {_describe(field, told)} |")
    lines.append("")
    for inner_path, inner_schema in nested:
        lines += _section(inner_path, inner_schema)
    return lines


def _objects(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects with fields of their own that the value holds: itself, or the items of a list."""
    if "properties" in schema:
        yield path, schema
    elif schema.get("type") == "array":
        yield from _objects(f"{path}[]", schema["items"])


def _type(field: Schema) -> str:
    limits = bounds(field)
    return f"{type_name(field)}; {limits}" if limits else type_name(field)


def _default(name: str, field: Schema, parent: Schema) -> str:
    if name in parent.get("required", ()):
        return "required"
    default: Any = field.get("default")
    if isinstance(default, dict) or default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _describe(field: Schema, told: set[str]) -> str:
    """The description and the rules of the value; `told` collects the rules, so that a table says each of them once."""
    rules = [message for message in _messages(field) if message not in told]
    told.update(rules)
    return _cell(field["description"] + (f" Rules: {'; '.join(rules)}." if rules else ""))


def _rules(schema: Schema) -> list[str]:
    lines = [f"- {_cell(message)}" for message in _own_messages(schema)]
    return ["Rules:", "", *lines, ""] if lines else []


def _messages(schema: Schema) -> list[str]:
    """The rules of a value, and of the items of a list; those of an object stand in its own section."""
    if "properties" in schema:
        return []
    return _own_messages(schema) + (_messages(schema["items"]) if "items" in schema else [])


def _own_messages(schema: Schema) -> list[str]:
    rules = schema.get("x-kubernetes-validations", ())
    # What may not change is told by the descriptions, in fewer words than one rule for each field.
    return [rule["message"] for rule in rules if "oldSelf" not in rule["rule"]]


def _cell(text: str) -> str:
    """Text in which only `code` is markup, fit for a cell of a table."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    return "`".join(parts)


def anchor(title: str) -> str:
    """The id of a heading, as Python-Markdown makes it."""
    return "".join(char for char in title.lower() if char.isalnum() or char in "_-")


def render() -> dict[Path, str]:
    """File (from the repository's root) → content."""
    pages = {_FOLDER / f"{cls.resource.singular}.md": kind_page(cls) for cls in KINDS}
    return pages | {_FOLDER / "reasons.md": reasons_page()}


if __name__ == "__main__":
    sys.exit(main(render(), "python -m datums.api.reference"))
