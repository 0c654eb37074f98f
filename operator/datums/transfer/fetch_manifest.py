"""The manifest of an attempt's inputs: which bytes it was run on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import BinaryIO

from datums.model import layout, manifest
from datums.model.commit import ManifestRef
from datums.model.manifest import Entry, Header, Summary
from datums.model.plan import Plan
from datums.stores.protocol import Store


def write(plan: Plan, entries: Iterable[Entry], file: BinaryIO) -> Summary:
    """Writes the manifest into a file, from its beginning.

    Args:
        entries: sorted.
    """
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    header = Header(kind="inputs", project=plan.execution.namespace, created=created, provenance=plan.provenance)
    return manifest.write(file, header, entries)


def save(plan: Plan, file: BinaryIO, sha256: str, store: Store) -> ManifestRef:
    """Saves the manifest below the attempt's prefix, under its own digest.

    Args:
        file: as `write` has left it, or an earlier call.
        store: where the outputs go, too.

    Raises:
        StoreError: it cannot be written.
    """
    ref, output = plan.execution, plan.output.store
    prefix = layout.attempt_prefix(plan.stores[output].prefix, ref.namespace, ref.name, ref.uid, ref.attempt)
    key = layout.inputs_key(prefix, sha256)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    store.put_file(key, file, size)
    return ManifestRef(store=output, key=key, sha256=sha256)
