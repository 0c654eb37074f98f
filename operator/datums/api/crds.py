"""Writes `crds/*.yaml`, one CustomResourceDefinition for each kind: `python -m datums.api.crds [--check]`."""

import sys
from pathlib import Path
from typing import Any

import yaml

from datums.api.generated import main
from datums.api.kinds import KINDS
from datums.api.markers import Resource
from datums.api.meta import Root
from datums.api.names import CATEGORY, GROUP, VERSION
from datums.api.openapi import root_schema

_HEADER = "# Generated from the types in operator/datums/api by `python -m datums.api.crds`; change those instead.\n"


def crd(cls: type[Root]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind."""
    resource = cls.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.singular,
                "shortNames": list(resource.short_names),
                "categories": [CATEGORY],
            },
            "versions": [_version(cls, resource)],
        },
    }


def _version(cls: type[Root], resource: Resource) -> dict[str, Any]:
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [column.schema() for column in resource.columns],
    }
    if resource.selectable_fields:
        version["selectableFields"] = [{"jsonPath": path} for path in resource.selectable_fields]
    version["schema"] = {"openAPIV3Schema": root_schema(cls)}
    return version


class _Dumper(yaml.SafeDumper):
    """Without anchors, which not every reader of a CRD understands."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render() -> dict[Path, str]:
    """File (from the repository's root) → content."""
    return {
        Path("crds", f"{cls.resource.plural}.yaml"): _HEADER
        + yaml.dump(crd(cls), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for cls in KINDS
    }


if __name__ == "__main__":
    sys.exit(main(render(), "python -m datums.api.crds"))
