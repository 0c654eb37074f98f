"""The status of an Execution: what the operator writes; bounded, whatever the number of files."""

from typing import Annotated

from msgspec import Meta

from datums.api.markers import keyed_by
from datums.api.meta import Condition, Count, ManifestReference, Part, Seconds, ShortText, Text, Timestamp


class Timings(Part, frozen=True):
    """How long each phase of the attempt took, in seconds; a phase that has not ended is left out."""

    queued: Seconds | None = None
    """From the pod's creation until it had a node."""
    pulled: Seconds | None = None
    """Pulling images."""
    downloaded: Seconds | None = None
    """Listing and downloading inputs."""
    ran: Seconds | None = None
    """The command, from its start to its end."""
    uploaded: Seconds | None = None
    """Uploading what was left when the command had ended."""
    committed: Seconds | None = None
    """Writing the manifest and the commit."""


class PinnedInput(Part, frozen=True):
    """What one link of an input led to."""

    name: Annotated[str, Meta(max_length=64)]
    """Name of the input."""
    link: Annotated[str, Meta(max_length=2048)]
    """The link as the spec has it."""
    pinned: Annotated[str, Meta(max_length=2048)]
    """The link with the digest of what it led to: it leads to the very same bytes again, or fails with `InputChanged`."""
    files: Count
    """Number of files."""
    bytes: Count
    """Their size together."""


class InputsStatus(Part, frozen=True):
    """The files that were downloaded."""

    files: Count
    """Number of files."""
    bytes: Count
    """Their size together."""
    manifest: ManifestReference | None = None
    """The list of every file, with its digest."""
    pinned: Annotated[tuple[PinnedInput, ...], Meta(max_length=256)] = ()
    """What the links led to, once it has succeeded: the first 16 at most. All of them are in the attempt's commit."""


class OutputsStatus(Part, frozen=True):
    """The files that were saved."""

    files: Count
    """Number of files."""
    bytes: Count
    """Their size together."""
    manifest: ManifestReference | None = None
    """The list of every file, with its digest; set when the outputs are committed."""
    set: Annotated[str, Meta(pattern="^[0-9a-f]{15}$", max_length=15)] | None = None
    """The 15 hex digits that the ids of these datums share; their label `datums.dev/set`."""
    problems: Annotated[tuple[Annotated[str, Meta(max_length=1280)], ...], Meta(max_length=16)] = ()
    """Files that could not be saved, by name and why; at most 16 of them."""
    problem_count: Count = 0
    """Number of files that could not be saved."""


class Reproducible(Part, frozen=True):
    """Whether running the same spec again gives the command the same bytes."""

    value: bool
    """False when an input is a web file whose server does not version it and whose link holds no digest. Of all others
    `status.inputs.pinned` says which bytes they were, and used again gives the same or fails."""
    reasons: Annotated[tuple[Annotated[str, Meta(max_length=1024)], ...], Meta(max_length=16)] = ()
    """What stands against it."""


class Attempt(Part, frozen=True, kw_only=True):
    """One attempt that has ended."""

    attempt: Annotated[int, Meta(ge=1)]
    """Its number, from 1."""
    reason: Annotated[str, Meta(max_length=64)]
    """Why it ended, as one word."""
    message: Text = ""
    """Why it ended, as a sentence."""
    exit_code: int | None = None
    """Exit code of the command."""
    pod: Annotated[str, Meta(max_length=253)] = ""
    """Its pod."""


class ExecutionStatus(Part, frozen=True):
    """How far it has come, and what came of it."""

    observed_generation: Count | None = None
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=8, extra_json_schema=keyed_by("type"))] = ()
    """`Succeeded`: Unknown while it runs, then True or False for good."""
    attempt: Count = 0
    """The current attempt, from 1; a retry is a new attempt."""
    failed: Count = 0
    """How many attempts have failed; `spec.backoffLimit` bounds it. One that was suspended does not count."""
    pod: Annotated[str, Meta(max_length=253)] | None = None
    """Pod of the current attempt."""
    exit_code: int | None = None
    """Exit code of the command."""
    start_time: Timestamp | None = None
    """When the first attempt's pod was created."""
    completion_time: Timestamp | None = None
    """When it ended."""
    progress: ShortText | None = None
    """How far it has come, in a few words."""
    duration: Annotated[str, Meta(max_length=32)] | None = None
    """Time from the start to the end, such as `2m10s`."""
    timings: Timings | None = None
    """How long each phase of the current attempt took, in seconds."""
    inputs: InputsStatus | None = None
    """The files that were downloaded."""
    outputs: OutputsStatus | None = None
    """The files that were saved."""
    status_detail: Annotated[str, Meta(max_length=1024)] | None = None
    """What the command itself last said of where it is."""
    reproducible: Reproducible | None = None
    """Whether running the same spec again gives the command the same bytes."""
    attempts: Annotated[tuple[Attempt, ...], Meta(max_length=10, extra_json_schema=keyed_by("attempt"))] = ()
    """The last ten attempts that have ended, oldest first."""
