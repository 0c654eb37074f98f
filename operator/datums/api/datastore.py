"""DataStore: connects a place where data lives."""

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, field

from datums.api.buckets import GCS, OVH, S3, Azure, Oracle
from datums.api.markers import AGE, Column, Resource, Rule, cel, exactly_one, keyed_by
from datums.api.meta import Condition, Count, Name, ObjectMeta, Part, Root
from datums.api.names import API_VERSION
from datums.api.pod import Labels

READY: Final = "Ready"
"""The condition of a DataStore."""
BLOCKS: Final = ("s3", "gcs", "azure", "ovh", "oracle")
"""The blocks of the spec, of which one is set."""
_SIGNED: Final = "!(has(self.credentials.anonymous) && self.credentials.anonymous)"

_READABLE_RULE = Rule(
    "!self.startsWith('/') && !self.contains('://')",
    "readable takes key prefixes inside the bucket, such as raw/; they begin with neither '/' nor a scheme",
)


class SecretReference(Part, frozen=True):
    """A Secret in the DataStore's namespace."""

    name: Name
    """Name of the Secret."""


class Credentials(Part, frozen=True):
    """How Datums proves to the store who it is. A change is used at once."""

    secret_ref: SecretReference | None = None
    """A Secret with keys named as the provider's own tools name them. s3, ovh, oracle: `AWS_ACCESS_KEY_ID` and
    `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` if there is one. gcs: `service-account.json`, the text of the key file.
    azure: `AZURE_STORAGE_KEY`; or `AZURE_STORAGE_SAS_TOKEN`; or `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    `AZURE_CLIENT_SECRET`."""
    anonymous: bool | None = None
    """True: requests are not signed. For reading public buckets of s3, gcs and azure; nothing can be written."""

    rules: ClassVar = (
        Rule(
            "has(self.secretRef) != (has(self.anonymous) && self.anonymous)",
            "exactly one of these must be set: secretRef, anonymous: true",
        ),
    )


class SelectorRequirement(Part, frozen=True):
    """One condition on a namespace's labels."""

    key: Annotated[str, Meta(min_length=1, max_length=317)]
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label and the values are compared."""
    values: Annotated[tuple[Annotated[str, Meta(max_length=63)], ...], Meta(max_length=64)] = ()
    """The values, for `In` and `NotIn`."""

    rules: ClassVar = (
        Rule(
            "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0"
            " : !has(self.values) || size(self.values) == 0",
            "values must be given for In and NotIn, and for them only",
        ),
    )


class NamespaceSelector(Part, frozen=True):
    """Chooses namespaces by their labels; all conditions must hold."""

    match_labels: Labels = field(default_factory=dict)
    """Labels that a namespace must have, with these values."""
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Meta(max_length=32)] = ()
    """Further conditions on the labels."""


class AllowedNamespaces(Part, frozen=True):
    """Which namespaces may use the store."""

    from_: Literal["Same", "All", "Selector"] = field(name="from", default="Same")
    """`Same`: only the store's own namespace; `All`: every one; `Selector`: also those that `selector` chooses."""
    selector: NamespaceSelector | None = None
    """Chooses the namespaces when `from` is `Selector`."""

    rules: ClassVar = (
        Rule("has(self.selector) == (self.from == 'Selector')", "selector must be set when from is Selector, only then"),
    )


class Tuning(Part, frozen=True):
    """How data is moved to and from the store."""

    concurrency: Annotated[int, Meta(ge=1, le=256)] = 16
    """Requests in flight at once, for each pod."""
    part_size_mib: Annotated[int, Meta(ge=5, le=5120)] = field(name="partSizeMiB", default=16)
    """Size of the parts in which large files are uploaded, in MiB. More than 64 counts as 64, for a part that is on its way
    lies in memory."""
    checksums: Literal["WhenSupported", "WhenRequired"] | None = None
    """`WhenSupported` sends a checksum with every upload, `WhenRequired` is for services that refuse these headers. When
    unset `WhenRequired` for ovh and oracle, else `WhenSupported`. Datums' own SHA-256 of every file is kept and compared in
    any case."""


class DataStoreSpec(Part, frozen=True, kw_only=True):
    """Where the data lives and who may use it."""

    s3: S3 | None = None
    """A bucket of Amazon S3 or of any service that speaks its protocol."""
    gcs: GCS | None = None
    """A bucket of Google Cloud Storage."""
    azure: Azure | None = None
    """A container of Azure Blob Storage."""
    ovh: OVH | None = None
    """A container of OVHcloud Object Storage."""
    oracle: Oracle | None = None
    """A bucket of Oracle Cloud Infrastructure Object Storage."""
    credentials: Credentials
    """How Datums proves to the store who it is."""
    readable: Annotated[
        tuple[Annotated[str, Meta(max_length=1024, extra_json_schema=cel(_READABLE_RULE))], ...], Meta(max_length=64)
    ] = ()
    """Key prefixes that executions may read by a plain link (`s3://bucket/raw/…`) besides what Datums wrote, such as
    `raw/`; one empty string opens the whole bucket. When unset nothing, or with `credentials.anonymous` the whole bucket."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Which namespaces may use the store."""
    default: bool = False
    """Makes this the upload store of every namespace that may use it and whose executions name none. A default in the
    namespace itself wins over one from elsewhere."""
    tuning: Tuning = Tuning()
    """How data is moved to and from the store."""

    rules: ClassVar = (
        exactly_one(*BLOCKS),
        Rule(
            f"{_SIGNED} || has(self.s3) || has(self.gcs) || has(self.azure)",
            "credentials.anonymous is for public buckets of s3, gcs and azure: set credentials.secretRef",
            ".credentials",
        ),
        Rule(f"{_SIGNED} || !self.default", "an anonymous store cannot be the default: nothing can be written to it", ".default"),
    )


class Capabilities(Part, frozen=True):
    """What the service can do, as found by trying it."""

    conditional_put: bool
    """Refuses to write a key that exists (`If-None-Match`)."""
    ranged_get: bool
    """Gives a part of an object (`Range`)."""
    versioning: bool
    """Keeps the versions of an object."""
    multipart: bool
    """Takes an object in parts."""


class DataStoreStatus(Part, frozen=True):
    """What the operator found when it last tried the store."""

    observed_generation: Count | None = None
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=8, extra_json_schema=keyed_by("type"))] = ()
    """`Ready`: whether executions can use the store, and if not, why."""
    location: Annotated[str, Meta(max_length=2048)] | None = None
    """Where Datums writes, as a link of the provider: `s3://bucket/prefix`, `gs://bucket/prefix`, …"""
    capabilities: Capabilities | None = None
    """What the service can do, as found by trying it."""


class DataStore(Root, frozen=True, kw_only=True):
    """Connects a bucket once, so that executions can read from it and save to it. Other namespaces may use it as far
    as `spec.allowedNamespaces` says."""

    api_version: str = API_VERSION
    kind: str = "DataStore"
    metadata: ObjectMeta = ObjectMeta()
    spec: DataStoreSpec
    """Where the data lives and who may use it."""
    status: DataStoreStatus = DataStoreStatus()
    """What the operator found when it last tried the store."""

    resource: ClassVar = Resource(
        kind="DataStore",
        plural="datastores",
        singular="datastore",
        short_names=("dstore",),
        columns=(
            Column("Location", ".status.location", description="Where Datums writes."),
            Column("Default", ".spec.default", "boolean", "Whether executions that name no store save here."),
            Column("Ready", ".status.conditions[?(@.type=='Ready')].status", description="Whether it can be used."),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", description="Why."),
            Column("Message", ".status.conditions[?(@.type=='Ready')].message", description="Why.", priority=1),
            AGE,
        ),
    )
