"""The Datum objects of a verified commit. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from datums.api.datum import Datum, DatumSpec, DatumStatus, Location, Source, SourceExecution
from datums.api.meta import Condition, ManifestReference, ObjectMeta
from datums.api.names import LABEL_SET
from datums.api.reasons import Verified as VerifiedReason
from datums.control.executions.verify import Verified
from datums.model import ids

CONDITION: Final = "Succeeded"


def objects(labels: dict[str, str], verified: Verified, datum_limit: int) -> list[Datum]:
    """One Datum for each file, or one for all together where there are more than the limit. They have no owner: a datum outlives
    its execution.

    Args:
        labels: of the attempt.
    """
    commit = verified.commit
    of, manifest = commit.execution, commit.outputs.manifest
    source = Source(
        execution=SourceExecution(name=of.name, uid=of.uid, attempt=of.attempt),
        manifest=ManifestReference(store=manifest.store, key=manifest.key, sha256=manifest.sha256),
    )

    def datum(name: str, spec: DatumSpec) -> Datum:
        return Datum(metadata=ObjectMeta(name=name, namespace=of.namespace, labels=labels | {LABEL_SET: commit.set}), spec=spec)

    if commit.outputs.files > datum_limit:
        spec = DatumSpec(size=commit.outputs.bytes, files=commit.outputs.files, source=source)
        return [datum(str(ids.bundle_id(commit.set)), spec)]
    return [
        datum(
            entry.datum,
            DatumSpec(
                path=entry.path,
                size=entry.size,
                sha256=entry.sha256,
                location=Location(store=entry.location.store, key=entry.location.key, offset=entry.location.offset or None),
                source=source,
            ),
        )
        for entry in verified.entries
        if entry.location is not None
    ]


def body(datum: Datum) -> dict[str, Any]:
    """The object to create."""
    built: dict[str, Any] = msgspec.to_builtins(datum)
    built.pop("status", None)
    return built


def status(datum: Datum, now: str) -> dict[str, Any]:
    """The status to apply to it once it exists.

    Args:
        now: RFC 3339.
    """
    condition = Condition(
        type=CONDITION,
        status="True",
        reason=VerifiedReason.COMMITTED,
        message=f"committed by attempt {datum.spec.source.execution.attempt} of {datum.spec.source.execution.name}, and verified",
        last_transition_time=now,
        observed_generation=1,
    )
    built: dict[str, Any] = msgspec.to_builtins(DatumStatus(observed_generation=1, conditions=(condition,)))
    return {"status": built}
