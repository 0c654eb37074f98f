"""Which unfinished uploads nobody will finish: parts of large objects are billed, and no list of objects shows them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from datums.api.conditions import is_settled
from datums.api.execution import SUCCEEDED, Execution
from datums.control.cache import Obj
from datums.model import layout
from datums.stores.protocol import PendingUpload

_ATTEMPT = re.compile(r"([^/]+)/(executions/[^/]+)/([1-9][0-9]*)/.")


def live_attempts(executions: Iterable[Obj]) -> dict[tuple[str, str], int]:
    """The attempt that each execution which has not ended is at: (namespace, `executions/<name>-<uid8>`) → number."""
    found: dict[tuple[str, str], int] = {}
    for body in executions:
        execution = msgspec.convert(body, Execution)
        if not is_settled(execution.status.conditions, SUCCEEDED):
            meta = execution.metadata
            of = layout.attempt_prefix("", meta.namespace, meta.name, meta.uid, 0).removesuffix("/0/")
            found[meta.namespace, of.removeprefix(layout.project_prefix("", meta.namespace))] = execution.status.attempt
    return found


def abandoned(
    pending: Iterable[PendingUpload],
    *,
    prefix: str,
    live: Mapping[tuple[str, str], int],
    begun_before: float,
    namespaces: Collection[str] = (),
) -> Iterator[PendingUpload]:
    """The uploads to throw away: of attempts, below the store's prefix, that do not run, and begun long ago.

    Args:
        prefix: of the DataStore. Nothing outside it is ever chosen, whatever the service lists.
        live: see `live_attempts`. Executions of another cluster are not in it: those are protected by the age alone, and one
            that was taken for dead all the same begins that file anew.
        begun_before: seconds since the epoch.
        namespaces: whose executions are known; empty for all.
    """
    projects = layout.projects_prefix(prefix)
    for upload in pending:
        match = _ATTEMPT.match(upload.key, len(projects)) if upload.key.startswith(projects) else None
        if match is None or upload.started >= begun_before:
            continue
        namespace, execution, attempt = match[1], match[2], int(match[3])
        if namespaces and namespace not in namespaces:
            continue
        # A later attempt than the one that is written down is one whose pod was made just now.
        at = live.get((namespace, execution))
        if at is None or attempt < at:
            yield upload
