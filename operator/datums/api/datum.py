"""Datum: one immutable version of a file, or of a bundle of files."""

from typing import Annotated, ClassVar

from msgspec import Meta

from datums.api.markers import AGE, Column, Resource, Rule, keyed_by
from datums.api.meta import Condition, Count, Digest, ManifestReference, Name, ObjectMeta, Part, Root, StoreName
from datums.api.names import API_VERSION

_ID_RULE = Rule(
    "self.metadata.name.matches('^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$')",
    "metadata.name must be the datum's id, a lower-case UUID of version 8",
)


class Location(Part, frozen=True):
    """Where the bytes are."""

    store: StoreName
    """The DataStore, as `<namespace>/<name>`."""
    key: Annotated[str, Meta(min_length=1, max_length=2048)]
    """Key of the object."""
    offset: Count | None = None
    """Where the file begins in the object, in bytes, when the object holds several files."""


class SourceExecution(Part, frozen=True):
    """The execution that saved it."""

    name: Name
    """Its name."""
    uid: Annotated[str, Meta(min_length=1, max_length=64)]
    """Its uid."""
    attempt: Annotated[int, Meta(ge=1)]
    """The attempt."""


class Source(Part, frozen=True):
    """Where the datum comes from."""

    execution: SourceExecution
    """The execution that saved it."""
    manifest: ManifestReference
    """The list of every file that it saved, with digests and provenance."""


class DatumSpec(Part, frozen=True, kw_only=True):
    """What the datum is. Immutable."""

    path: Annotated[str, Meta(max_length=2048)] = ""
    """Path under the outputs directory of its execution; empty for a bundle."""
    size: Count
    """Size in bytes; of a bundle, of all its files together."""
    sha256: Digest | None = None
    """SHA-256 of the file's content, in hex."""
    files: Annotated[int, Meta(ge=1)] | None = None
    """Number of files in a bundle; its manifest lists them."""
    location: Location | None = None
    """Where the file's bytes are."""
    source: Source
    """Where the datum comes from."""

    rules: ClassVar = (
        Rule("self == oldSelf", "spec is immutable: a datum never changes; save the file again to get a new one"),
        Rule(
            "has(self.files) ? !has(self.sha256) && !has(self.location) : has(self.sha256) && has(self.location) && has(self.path)",
            "a datum is either a file, with path, sha256 and location, or a bundle, with files; not both",
        ),
    )


class DatumStatus(Part, frozen=True):
    """What is known of the datum besides what it is."""

    observed_generation: Count | None = None
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=8, extra_json_schema=keyed_by("type"))] = ()
    """`Succeeded`: True once its bytes are committed and verified."""


class Datum(Root, frozen=True, kw_only=True):
    """One immutable version of a file, or of a bundle of files, that an execution saved. Its name is its id: another
    execution takes it as input by the link `datum://<name>`."""

    api_version: str = API_VERSION
    kind: str = "Datum"
    metadata: ObjectMeta = ObjectMeta()
    spec: DatumSpec
    """What the datum is. Immutable."""
    status: DatumStatus = DatumStatus()
    """What is known of the datum besides what it is."""

    rules: ClassVar = (_ID_RULE,)
    resource: ClassVar = Resource(
        kind="Datum",
        plural="datums",
        singular="datum",
        short_names=("dtm",),
        columns=(
            Column("Path", ".spec.path", description="Path under the outputs directory."),
            Column("Size", ".spec.size", "integer", "Size in bytes."),
            Column("Files", ".spec.files", "integer", "Number of files in a bundle."),
            Column("Execution", ".spec.source.execution.name", description="The execution that saved it."),
            Column("SHA256", ".spec.sha256", description="SHA-256 of the content.", priority=1),
            Column("Store", ".spec.location.store", description="The DataStore that holds it.", priority=1),
            AGE,
        ),
        selectable_fields=(
            ".spec.source.execution.name",
            ".spec.source.execution.uid",
            ".spec.path",
            ".spec.sha256",
        ),
    )
