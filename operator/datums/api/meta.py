"""What every kind shares: metadata, conditions, references."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from datums.api.markers import Resource, Rule, cel

Name = Annotated[str, Meta(min_length=1, max_length=253)]
ShortText = Annotated[str, Meta(max_length=256)]
Text = Annotated[str, Meta(max_length=4096)]
Count = Annotated[int, Meta(ge=0)]
Timestamp = Annotated[str, Meta(max_length=32, extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC, whole seconds: `2026-11-24T12:00:00Z`."""
Seconds = Annotated[float, Meta(ge=0)]
_DIGEST_RULE = Rule("self.matches('^[0-9a-f]{64}$')", "a SHA-256 must be 64 lower-case hex digits")
Digest = Annotated[str, Meta(max_length=64, extra_json_schema=cel(_DIGEST_RULE))]
"""SHA-256, 64 lower-case hex digits."""
_STORE_RULE = Rule("self.matches('^[^/]+/[^/]+$')", "a DataStore must be given as <namespace>/<name>")
StoreName = Annotated[str, Meta(max_length=317, extra_json_schema=cel(_STORE_RULE))]
"""A DataStore as `<namespace>/<name>`."""
Preserved = Annotated[dict[str, Any], Meta(extra_json_schema={"x-kubernetes-preserve-unknown-fields": True})]
"""An object of another API that passes through as it is; a server-side dry run of the pod checks it."""


class Part(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True):
    """A part of an object: camelCase on the wire, unset fields left out, unknown ones ignored."""


class Root(msgspec.Struct, rename="camel", frozen=True):
    """A whole object: `apiVersion`, `kind` and the rest are always written out."""

    resource: ClassVar[Resource]


class OwnerReference(Part, frozen=True):
    """The object that this one belongs to, and is removed with."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ManifestReference(Part, frozen=True):
    """A manifest: the immutable list of files that lies in a store, named by its own digest."""

    store: StoreName
    """The DataStore, as `<namespace>/<name>`."""
    key: Annotated[str, Meta(min_length=1, max_length=2048)]
    """Key of the object."""
    sha256: Digest
    """SHA-256 of the object's content, in hex."""


class ObjectMeta(Part, frozen=True):
    """The part of an object's metadata that Datums reads and writes."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    generate_name: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Condition(Part, frozen=True, kw_only=True):
    """One aspect of the object's state, as of the last time that it was looked at."""

    type: Annotated[str, Meta(min_length=1, max_length=64)]
    """The aspect: `Ready` for a DataStore, `Succeeded` for an Execution and a Datum."""
    status: Literal["True", "False", "Unknown"]
    """`True`, `False`, or `Unknown` while it is not settled."""
    reason: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")]
    """Why, as one word for programs; the reference lists every reason."""
    message: Annotated[str, Meta(max_length=8192)] = ""
    """Why, as a sentence for people: what, where, and what to do."""
    last_transition_time: Timestamp
    """When `status` last changed."""
    observed_generation: Count | None = None
    """The `metadata.generation` that this condition speaks of."""
