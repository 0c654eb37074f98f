"""Sealing an attempt: set index, manifest and commit, in the store, each written once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from datums.model import ids, layout, manifest
from datums.model.commit import MAX_PROBLEMS, Commit, ManifestRef, Problem, Resolved, Saved, SetIndex
from datums.model.manifest import Header, Summary
from datums.model.plan import Plan, StoreAccess
from datums.stores.errors import AlreadyExists
from datums.stores.protocol import Store
from datums.transfer.journal import Journal
from datums.transfer.listing import entries, note_dead_links
from datums.transfer.patient import PatientStore


def execution_prefix(plan: Plan, access: StoreAccess) -> str:
    """Below this lies what all attempts of the plan's execution write; ends in a slash."""
    return attempt_prefix(plan, access).rstrip("/").rpartition("/")[0] + "/"


def attempt_prefix(plan: Plan, access: StoreAccess) -> str:
    """Below this lies what the plan's attempt writes; ends in a slash."""
    execution = plan.execution
    return layout.attempt_prefix(access.prefix, execution.namespace, execution.name, execution.uid, execution.attempt)


def reserve_set(store: PatientStore, plan: Plan, access: StoreAccess) -> str:
    """The set of the attempt, its index written: the first that no other attempt has.

    Made before any datum id is derived, so that a collision costs nothing; it also opens the first connection to the store while
    main still runs.
    """
    execution = plan.execution
    index = SetIndex(execution=execution, commit=layout.commit_key(attempt_prefix(plan, access)))
    body = msgspec.json.encode({"format": index.format, **msgspec.to_builtins(index)})
    salt = 0
    while True:
        set_hex = ids.set_of_attempt(execution.uid, execution.attempt, salt)
        key = layout.set_key(access.prefix, execution.namespace, set_hex)
        there = _create(store, key, body)
        if there is None or msgspec.json.decode(there, type=SetIndex).execution == execution:
            return set_hex
        salt += 1


class Listed(NamedTuple):
    """A manifest that lies in the store."""

    key: str
    summary: Summary
    at: float
    """When everything else had been uploaded; seconds since the epoch."""


def write_manifest(
    store: PatientStore, plan: Plan, access: StoreAccess, journal: Journal, resolved: Resolved, spool: Path
) -> Listed:
    """Writes the manifest.

    Args:
        journal: with the inventory, and what lies in the store.
        resolved: the inputs, for the header.
        spool: where it is written first.
    """
    uploaded = time.time()
    prefix = attempt_prefix(plan, access)
    header = Header(
        kind="outputs",
        project=plan.execution.namespace,
        created=_rfc3339(journal.ended or 0.0),
        provenance=_provenance(plan, resolved),
    )
    with spool.open("w+b") as stream:
        summary = manifest.write(stream, header, entries(journal, prefix, access.name))
        size = stream.tell()
        large = size > access.part_size_mib << 20
        if large:
            journal.expect_parts()
        key = layout.manifest_key(prefix, summary.sha256)

        def put(target: Store) -> None:
            stream.seek(0)
            if large:
                target.put_file(key, stream, size)
            else:
                target.put(key, stream.read())

        store.call(key, put, size=size)
    return Listed(key, summary, uploaded)


def commit(store: PatientStore, plan: Plan, access: StoreAccess, journal: Journal, resolved: Resolved, listed: Listed) -> Commit:
    """Writes the commit, and returns the one that counts: the one that an earlier life wrote, if there is one."""
    ended = journal.ended or 0.0
    note_dead_links(journal)
    refused, problems = _remarks(journal, problem=True)
    made = Commit(
        execution=plan.execution,
        set=journal.set,
        created=_rfc3339(listed.at),
        outputs=Saved(
            files=listed.summary.files,
            bytes=listed.summary.bytes,
            manifest=ManifestRef(store=access.name, key=listed.key, sha256=listed.summary.sha256),
            refused=refused,
            problems=problems,
            notes=_remarks(journal, problem=False)[1],
        ),
        inputs=resolved,
        timings={"uploaded": round(listed.at - ended, 3), "committed": round(time.time() - ended, 3)},
        main_ended_at=ended,
    )
    body = msgspec.json.encode({"format": made.format, **msgspec.to_builtins(made)})
    there = _create(store, layout.commit_key(attempt_prefix(plan, access)), body)
    return made if there is None else msgspec.json.decode(there, type=Commit)


def _create(store: PatientStore, key: str, body: bytes) -> bytes | None:
    """Writes an object that must not be there yet. None when it was written; else what is there."""
    try:
        store.call(key, lambda target: target.put(key, body, if_absent=True), accept=(AlreadyExists,))
    except AlreadyExists:
        return store.call(key, lambda target: target.get(key))
    return None


def _remarks(journal: Journal, *, problem: bool) -> tuple[int, list[Problem]]:
    """How many there are, and the first of them."""
    row = journal.database.row("SELECT count(*) FROM remarks WHERE problem = ?", (int(problem),))
    first = f"SELECT path, message FROM remarks WHERE problem = ? ORDER BY path, message LIMIT {MAX_PROBLEMS}"  # noqa: S608
    return row[0] if row else 0, [Problem(*found) for found in journal.database.rows(first, (int(problem),))]


def _provenance(plan: Plan, resolved: Resolved) -> dict[str, Any]:
    inputs = [{"name": pinned.name, "link": pinned.link, "pinned": pinned.pinned} for pinned in resolved.pinned]
    execution = {"name": plan.execution.name, "uid": plan.execution.uid}
    reproducible = {"reproducible": not resolved.not_reproducible, "reasons": resolved.not_reproducible}
    return {**plan.provenance, "execution": execution, "attempt": plan.execution.attempt, "inputs": inputs, **reproducible}


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
