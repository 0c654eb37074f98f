"""Sealing an attempt: set index, manifest and commit, in the store, each written once."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from datums.model import ids, layout, manifest
from datums.model.commit import MAX_PROBLEMS, Commit, ManifestRef, Problem, Resolved, Saved, SetIndex
from datums.model.manifest import Entry, Header, Location
from datums.model.plan import Plan, StoreAccess
from datums.stores.errors import AlreadyExists
from datums.stores.protocol import Store
from datums.transfer.inventory import Inventory
from datums.transfer.journal import Done, Journal, Slot
from datums.transfer.patient import PatientStore


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


def entries(set_hex: str, store: str, inventory: Inventory, journal: Journal) -> Iterator[Entry]:
    """The manifest's entries, sorted. A path whose file was refused has none.

    Args:
        set_hex: the set.
        store: `<namespace>/<name>` of the DataStore.
        inventory: what was there when main had ended.
        journal: what lies in the store.
    """

    def entry(path: str, sequence: int, done: Done) -> Entry:
        return Entry(
            path=path,
            size=done.identity.size,
            sha256=done.sha256,
            datum=str(ids.file_id(set_hex, path, sequence, done.sha256)),
            location=Location(store, done.key),
            mtime=done.identity.mtime_ns / 1e9,
            sequence=sequence,
        )

    found: list[Entry] = []
    filled: set[str] = set()
    takes = journal.takes
    for path, tokens in takes.items():
        found += [entry(path, n, done) for n, token in enumerate(tokens) if (done := journal.done.get((path, token)))]
        filled.update(_parents(path))
    for path in inventory.files:
        if done := journal.done.get((path, "")):
            found.append(entry(path, len(takes.get(path, ())), done))
    for path, target in inventory.links.items():
        if done := journal.done.get(_slot(target, inventory, journal)):
            found.append(entry(path, len(takes.get(path, ())), done))
    found += [Entry(path=path) for path in inventory.directories if path not in filled]
    return iter(sorted(found, key=lambda e: e.order))


def commit(
    store: PatientStore,
    plan: Plan,
    access: StoreAccess,
    *,
    journal: Journal,
    inventory: Inventory,
    resolved: Resolved,
    refused: list[tuple[str, str]],
    spool: Path,
) -> Commit:
    """Writes manifest and commit, and returns the commit that counts: the one that an earlier life wrote, if there is one.

    Args:
        refused: (path, why) of the files that could not be uploaded.
        spool: where the manifest is written first.
    """
    prefix = attempt_prefix(plan, access)
    ended = journal.ended or 0.0
    uploaded = time.time()
    header = Header(
        kind="outputs", project=plan.execution.namespace, created=_rfc3339(ended), provenance=_provenance(plan, resolved)
    )
    with spool.open("wb") as out:
        summary = manifest.write(out, header, entries(journal.set, access.name, inventory, journal))
    key = layout.manifest_key(prefix, summary.sha256)
    size = spool.stat().st_size

    def put(target: Store) -> None:
        with spool.open("rb") as stream:
            target.put_file(key, stream, size)

    store.call(put)
    problems = [*inventory.problems, *refused, *_dead_links(inventory, journal)]
    made = Commit(
        execution=plan.execution,
        set=journal.set,
        created=_rfc3339(uploaded),
        outputs=Saved(
            files=summary.files,
            bytes=summary.bytes,
            manifest=ManifestRef(store=access.name, key=key, sha256=summary.sha256),
            refused=len(problems),
            problems=_bounded(problems),
            notes=_bounded(inventory.notes),
        ),
        inputs=resolved,
        timings={"uploaded": round(uploaded - ended, 3), "committed": round(time.time() - ended, 3)},
        main_ended_at=ended,
    )
    body = msgspec.json.encode({"format": made.format, **msgspec.to_builtins(made)})
    there = _create(store, layout.commit_key(prefix), body)
    return made if there is None else msgspec.json.decode(there, type=Commit)


def _create(store: PatientStore, key: str, body: bytes) -> bytes | None:
    """Writes an object that must not be there yet. None when it was written; else what is there."""
    try:
        store.call(lambda target: target.put(key, body, if_absent=True), accept=(AlreadyExists,))
    except AlreadyExists:
        return store.call(lambda target: target.get(key))
    return None


def _slot(target: str, inventory: Inventory, journal: Journal) -> Slot:
    """The file that a link stands for: the one on disk, or the last one that was taken away from there."""
    at = bisect_left(inventory.files, target)
    on_disk = at < len(inventory.files) and inventory.files[at] == target
    return target, "" if on_disk else journal.takes[target][-1]


def _dead_links(inventory: Inventory, journal: Journal) -> list[tuple[str, str]]:
    links = inventory.links.items()
    dead = [(path, target) for path, target in links if _slot(target, inventory, journal) not in journal.done]
    return [(path, f"links to {target}, which could not be saved") for path, target in dead]


def _parents(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[: at + 1]
        at = path.find("/", at + 1)


def _provenance(plan: Plan, resolved: Resolved) -> dict[str, Any]:
    inputs = [{"name": pinned.name, "link": pinned.link, "pinned": pinned.pinned} for pinned in resolved.pinned]
    execution = {"name": plan.execution.name, "uid": plan.execution.uid}
    reproducible = {"reproducible": not resolved.not_reproducible, "reasons": resolved.not_reproducible}
    return {**plan.provenance, "execution": execution, "attempt": plan.execution.attempt, "inputs": inputs, **reproducible}


def _bounded(problems: list[tuple[str, str]]) -> list[Problem]:
    return [Problem(path, message) for path, message in sorted(problems)[:MAX_PROBLEMS]]


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
