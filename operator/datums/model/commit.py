"""What comes back from a pod: the commit (in the store, the verdict), the results of `fetch` and gate, and progress reports."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from datums.model.plan import ExecutionRef

FORMAT = "datums/commit/1"
SET_FORMAT = "datums/set/1"
MAX_PROBLEMS = 16
TERMINATION_MESSAGE_BYTES = 4096


class ManifestRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A manifest in a store."""

    store: str
    key: str
    sha256: str


class Pinned(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One link of an input, resolved."""

    name: str
    """The input's."""
    link: str
    pinned: str
    files: int = 0
    bytes: int = 0


class Resolved(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The inputs, as they were loaded."""

    files: int = 0
    bytes: int = 0
    manifest: ManifestRef | None = None
    """None where the execution has no input."""
    pinned: list[Pinned] = []
    not_reproducible: list[str] = []
    """Why a rerun may get other bytes, one sentence each."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that was not saved, or was saved in another form than it had."""

    path: str
    message: str


class Saved(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The outputs, as they were committed."""

    files: int
    bytes: int
    manifest: ManifestRef
    refused: int = 0
    """How many files were not saved."""
    problems: list[Problem] = []
    """The first `MAX_PROBLEMS` of them."""
    notes: list[Problem] = []
    """Files saved in another form than they had (a followed link), the first `MAX_PROBLEMS`."""


class Commit(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`commit.json`: written last, never changed. That it exists and its manifest holds what it says is the verdict."""

    format: str = msgspec.field(default=FORMAT)
    execution: ExecutionRef
    set: str
    created: str
    outputs: Saved
    inputs: Resolved = msgspec.field(default_factory=Resolved)
    timings: dict[str, float] = {}
    """Seconds: `uploaded` and `committed`, both from main's end until all files, and the commit, lay in the store."""
    main_ended_at: float = 0.0
    """Seconds since the epoch, as `ship` saw it."""


class SetIndex(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`sets/<set>.json`: leads from a datum id to the attempt that made it."""

    format: str = msgspec.field(default=SET_FORMAT)
    execution: ExecutionRef
    commit: str
    """Key of the attempt's commit.json."""


class FetchResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`fetch`'s termination message."""

    reason: str = ""
    """Empty when all inputs are there; else a reason of api/reasons.py."""
    message: str = ""
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0


class GateResult(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Gate's termination message: what to believe when the pod's report did not arrive. The commit itself lies in the store."""

    committed: bool


Phase: TypeAlias = Literal["Downloading", "Running", "Uploading", "Committing", "Committed"]


class Report(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Progress, posted to the operator. Whose it is follows from the token, never from the body."""

    phase: Phase
    files: int = 0
    bytes: int = 0
    total_files: int = 0
    """0 while unknown."""
    total_bytes: int = 0
    rate: float = 0.0
    """Bytes a second."""
    trouble: str = ""
    """What holds the transfer up, and since when; empty when nothing does."""
    status_detail: str | None = None


def bounded_message(result: FetchResult) -> bytes:
    """A termination message that the kubelet does not cut: at most 4,096 bytes, still JSON."""
    data = msgspec.json.encode(result)
    excess = len(data) - TERMINATION_MESSAGE_BYTES
    if excess <= 0:
        return data
    # A character can take 6 bytes as JSON and 1 in the text: cut generously, keep both ends (they name the object and the cure).
    keep = max(0, (len(result.message) - excess) // 2 - 64)
    text = result.message[:keep] + " … " + result.message[-keep:] if keep else result.message[:200]
    return msgspec.json.encode(msgspec.structs.replace(result, message=text))
