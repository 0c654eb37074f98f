"""Kubernetes objects from YAML files, read by the same calls as from an API server."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from datums.api.datastore import DataStore
from datums.api.openapi import root_schema
from datums.cli.cluster import MISUSED, Problem
from datums.control.kube_errors import NotFound
from datums.control.resources import DATASTORES, Resource

_FALLBACK = "default"


class Manifests:
    """The objects of some files.

    Args:
        namespace: of the objects that name none.

    Raises:
        Problem: a file cannot be read, or holds something that is no object.
    """

    def __init__(self, paths: Iterable[str], namespace: str = "") -> None:
        self._paths = list(paths)
        self._objects = [_completed(each, namespace or _FALLBACK) for path in self._paths for each in _read(path)]

    async def get(self, res: Resource, ns: str | None, name: str, *, metadata_only: bool = False) -> dict[str, Any]:
        """One object, as from the API server."""
        for each in self._objects:
            meta = each["metadata"]
            if (each["apiVersion"], each["kind"], meta["namespace"], meta["name"]) == (res.api_version, res.kind, ns, name):
                return each
        raise NotFound(404, "NotFound", f"{res.kind} {ns}/{name} is not in {', '.join(self._paths)}")

    def store(self, name: str, namespace: str) -> dict[str, Any]:
        """A DataStore.

        Args:
            name: empty for the only one.
            namespace: empty for any.

        Raises:
            Problem: it is not there, there are several, or it has a field that DataStores do not have.
        """
        found = [
            each
            for each in self._objects
            if (each["apiVersion"], each["kind"]) == (DATASTORES.api_version, DATASTORES.kind)
            and name in ("", each["metadata"]["name"])
            and namespace in ("", each["metadata"]["namespace"])
        ]
        if len(found) != 1:
            have = f"have several: name one ({', '.join(_named(each) for each in found)})" if found else "do not have it"
            what = f"DataStore {name}" if name else "a DataStore"
            raise Problem(f"{what} is looked for in {', '.join(self._paths)}, which {have}", MISUSED)
        # The API server would refuse it, too.
        if unknown := list(_unknown(root_schema(DataStore)["properties"]["spec"], found[0].get("spec") or {}, "spec")):
            raise Problem(f"DataStore {_named(found[0])}: there is no field {', '.join(unknown)}", MISUSED)
        return found[0]


def _read(path: str) -> Iterator[dict[str, Any]]:
    try:
        documents = list(yaml.safe_load_all(Path(path).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}", MISUSED) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Not what it quotes: that may be of a Secret.
        raise Problem(f"{path} is not YAML{f' (line {mark.line + 1})' if mark else ''}", MISUSED) from None
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
            raise Problem(f"{path} holds something that is no Kubernetes object", MISUSED)
        yield document


def _completed(each: dict[str, Any], namespace: str) -> dict[str, Any]:
    meta = {"namespace": namespace, "name": "", "resourceVersion": "", **each["metadata"]}
    data = {key: base64.b64encode(str(value).encode()).decode() for key, value in (each.get("stringData") or {}).items()}
    if each.get("kind") == "Secret":
        each = each | {"data": (each.get("data") or {}) | data}
    return {"apiVersion": "", "kind": ""} | each | {"metadata": meta}


def _unknown(schema: Mapping[str, Any], given: object, where: str) -> Iterator[str]:
    properties = schema.get("properties")
    if not isinstance(given, dict) or properties is None:
        return
    for name, value in given.items():
        if name not in properties:
            yield f"{where}.{name}"
        else:
            yield from _unknown(properties[name], value, f"{where}.{name}")


def _named(each: Mapping[str, Any]) -> str:
    return f"{each['metadata']['namespace']}/{each['metadata']['name']}"
