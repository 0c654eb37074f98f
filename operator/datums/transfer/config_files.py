"""`/valohai/config`: what user code may read about its execution, each document as JSON and as YAML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

# What YAML 1.1 reads otherwise than JSON: characters that PyYAML refuses or folds, and numbers with an exponent. Digests are full
# of digits before an e, but what stands in a string begins with a quote.
_NUMBER: Final = "-?[0-9][0-9.]*[eE]"
_NOT_YAML: Final = re.compile(f"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|(?:^|[:,[]){_NUMBER}")
_NUMBER_WITHIN: Final = re.compile(f"[:,[]{_NUMBER}".encode())  # begins with a set of characters: ten times as fast

to_json = msgspec.json.encode


def write_documents(directory: Path, documents: Mapping[str, Any]) -> None:
    """Writes `<name>.json` and `<name>.yaml` for every document, readable for everybody."""
    for name, document in documents.items():
        text = to_json(document)
        for ending, written in (("json", text), ("yaml", to_yaml(document, text))):
            with _written(directory / f"{name}.{ending}") as file:
                file.write(written)


@contextmanager
def long_document(directory: Path, name: str) -> Iterator[Callable[[bytes, bytes], None]]:
    """While it is entered, writes `<name>.json` and `<name>.yaml` of a document that need not fit into memory.

    Yields:
        What writes the next piece, as JSON and as YAML.
    """
    with _written(directory / f"{name}.json") as json, _written(directory / f"{name}.yaml") as yaml:

        def write(as_json: bytes, as_yaml: bytes) -> None:
            json.write(as_json)
            yaml.write(as_yaml)

        yield write


def to_yaml(document: Any, text: bytes | None = None) -> bytes:
    """The document as YAML: JSON is YAML, but for a few characters and numbers, which are written otherwise.

    Args:
        text: the document as JSON, where the caller has it.
    """
    data = to_json(document) if text is None else text
    if data[:1] in b'{["' and is_plain(data) and _NUMBER_WITHIN.search(data) is None:
        return data
    if _NOT_YAML.search(data.decode()) is None:
        return data
    return _flow(msgspec.to_builtins(document)).encode()


def is_plain(text: bytes) -> bool:
    """Whether a document's JSON is its YAML as well, if no number in it is a float."""
    return text.isascii() and b"\x7f" not in text


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_flow(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_flow, value)) + "]"
    text = to_json(value).decode()
    if isinstance(value, str):
        return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}" if len(match[0]) == 1 else match[0], text)
    if isinstance(value, float):
        # YAML 1.1 wants a point before the exponent, and a sign after the e; repr always writes the sign.
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    return text


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb", buffering=1 << 16) as file:
        yield file
    temporary.chmod(0o444)
    temporary.rename(path)
