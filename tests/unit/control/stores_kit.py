"""DataStores as the API server would give them."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
BLOCKS: dict[str, Obj] = {
    "s3": {"bucket": "acme-ml"},
    "gcs": {"bucket": "acme-ml"},
    "azure": {"account": "acme", "container": "acme-ml"},
    "ovh": {"project": "p1", "container": "acme-ml", "region": "gra"},
    "oracle": {"namespace": "space", "bucket": "acme-ml", "region": "eu-frankfurt-1"},
}


def store(
    where: str = "platform/ml",
    bucket: str = "acme-ml",
    allowed: Obj | None = None,
    default: bool = False,
    *,
    kind: str = "s3",
    block: Obj | None = None,
    **more: Any,
) -> Obj:
    """A DataStore.

    Args:
        block: further fields of the block of its kind.
        more: further fields of the spec.
    """
    namespace, name = where.split("/")
    of = "container" if "container" in BLOCKS[kind] else "bucket"
    spec: Obj = {
        kind: {**BLOCKS[kind], of: bucket, **(block or {})},
        "credentials": {"secretRef": {"name": "keys"}},
        "default": default,
        **more,
    }
    if allowed is not None:
        spec["allowedNamespaces"] = allowed
    return {
        "apiVersion": "datums.dev/v1alpha1",
        "kind": "DataStore",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }
