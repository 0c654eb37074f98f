"""The manifest of an attempt's inputs: which bytes it was run on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from datums.model import layout, manifest
from datums.model.commit import ManifestRef
from datums.model.manifest import Entry, Header
from datums.model.plan import Plan
from datums.stores.protocol import Store


def save(plan: Plan, entries: Iterable[Entry], store: Store, spool: Path) -> ManifestRef:
    """Writes the manifest below the attempt's prefix, under its own digest.

    Args:
        entries: sorted.
        store: where the outputs go, too.
        spool: a directory for the file on its way.

    Raises:
        StoreError: it cannot be written.
    """
    ref = plan.execution
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    path = spool / "inputs-manifest"
    with path.open("w+b") as file:
        header = Header(kind="inputs", project=ref.namespace, created=created, provenance=plan.provenance)
        summary = manifest.write(file, header, entries)
        size = file.tell()
        file.seek(0)
        prefix = plan.stores[plan.output.store].prefix
        key = layout.inputs_key(layout.attempt_prefix(prefix, ref.namespace, ref.name, ref.uid, ref.attempt), summary.sha256)
        store.put_file(key, file, size)
    path.unlink()
    return ManifestRef(store=plan.output.store, key=key, sha256=summary.sha256)
