"""`/valohai/config`: what user code may read about its execution, each document as JSON and as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

# What YAML 1.1 reads otherwise than JSON: characters that PyYAML refuses or folds, and numbers with an exponent.
_NOT_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|[0-9][eE]")


def write_documents(directory: Path, documents: Mapping[str, Any]) -> None:
    """Writes `<name>.json` and `<name>.yaml` for every document, readable for everybody."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = msgspec.json.encode(document)
        _write(directory / f"{name}.json", text)
        _write(directory / f"{name}.yaml", to_yaml(document, text))


def to_yaml(document: Any, text: bytes | None = None) -> bytes:
    """The document as YAML: JSON is YAML, but for a few characters and numbers, which are written otherwise.

    Args:
        text: the document as JSON, where the caller has it.
    """
    data = msgspec.json.encode(document) if text is None else text
    if _NOT_YAML.search(data.decode()) is None:
        return data
    return _flow(msgspec.to_builtins(document)).encode()


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_flow(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_flow, value)) + "]"
    text = msgspec.json.encode(value).decode()
    if isinstance(value, str):
        return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}" if len(match[0]) == 1 else match[0], text)
    if isinstance(value, float):
        # YAML 1.1 wants a point before the exponent, and a sign after the e; repr always writes the sign.
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    return text


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.chmod(0o444)
    temporary.rename(path)
