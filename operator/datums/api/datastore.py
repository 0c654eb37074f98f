"""DataStore: connects a place where data lives."""

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, field

from datums.api.markers import AGE, Column, Resource, Rule, cel, exactly_one, keyed_by
from datums.api.meta import Condition, Count, Name, ObjectMeta, Part, Root
from datums.api.names import API_VERSION
from datums.api.pod import KeyReference, Labels

READY: Final = "Ready"
"""The condition of a DataStore."""

_BUCKET_RULE = Rule(
    "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$')",
    "bucket must be the bare name of a bucket: letters, digits, '.', '_' and '-'; a path belongs in prefix",
)
_PREFIX_RULE = Rule(
    "!self.startsWith('/') && !self.endsWith('/') && !self.contains('//')",
    "prefix must not begin or end with '/' nor contain '//'",
)
_ENDPOINT_RULE = Rule(
    "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''"
    " && url(self).getEscapedPath() in ['', '/']",
    "endpoint must be the URL of an S3 service without a path, such as https://s3.example.com:9000",
)
_READABLE_RULE = Rule(
    "!self.startsWith('/') && !self.contains('://')",
    "readable takes key prefixes inside the bucket, such as raw/; they begin with neither '/' nor a scheme",
)


class CABundle(Part, frozen=True):
    """Certificate authorities, PEM, in a ConfigMap or a Secret of the DataStore's namespace."""

    config_map_key_ref: KeyReference | None = None
    """One key of a ConfigMap."""
    secret_key_ref: KeyReference | None = None
    """One key of a Secret."""

    rules: ClassVar = (exactly_one("configMapKeyRef", "secretKeyRef"),)


class S3(Part, frozen=True):
    """A bucket of Amazon S3 or of any service that speaks its protocol."""

    bucket: Annotated[str, Meta(min_length=3, max_length=255, extra_json_schema=cel(_BUCKET_RULE))]
    """Name of the bucket, which must exist."""
    prefix: Annotated[str, Meta(min_length=1, max_length=512, extra_json_schema=cel(_PREFIX_RULE))] = "datums"
    """Where Datums writes in the bucket; nothing outside it is ever written or removed."""
    region: Annotated[str, Meta(min_length=1, max_length=64)] = "us-east-1"
    """Region of the bucket; services other than Amazon's mostly take any."""
    endpoint: Annotated[str, Meta(max_length=2048, extra_json_schema=cel(_ENDPOINT_RULE))] | None = None
    """URL of the service, such as `https://s3.example.com:9000`; Amazon's own of the region when unset."""
    force_path_style: bool = False
    """Address the bucket as `endpoint/bucket` instead of `bucket.endpoint`; most services other than Amazon's need it."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""


class SecretReference(Part, frozen=True):
    """A Secret in the DataStore's namespace."""

    name: Name
    """Name of the Secret."""


class Credentials(Part, frozen=True):
    """How Datums proves to the store who it is."""

    secret_ref: SecretReference
    """A Secret with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `AWS_SESSION_TOKEN` if there is one;
    a change is used at once."""


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
    """Size of the parts in which large files are moved, in MiB."""
    checksums: Literal["WhenSupported", "WhenRequired"] = "WhenSupported"
    """`WhenSupported` sends a checksum with every upload; `WhenRequired` is for services that refuse these headers.
    Datums' own SHA-256 of every file is kept and compared in both cases."""


class DataStoreSpec(Part, frozen=True, kw_only=True):
    """Where the data lives and who may use it."""

    s3: S3 | None = None
    """A bucket of Amazon S3 or of any service that speaks its protocol."""
    credentials: Credentials
    """How Datums proves to the store who it is."""
    readable: Annotated[
        tuple[Annotated[str, Meta(max_length=1024, extra_json_schema=cel(_READABLE_RULE))], ...], Meta(max_length=64)
    ] = ()
    """Key prefixes that executions may read by a plain link (`s3://bucket/raw/…`) besides what Datums wrote, such as
    `raw/`; one empty string opens the whole bucket."""
    allowed_namespaces: AllowedNamespaces = AllowedNamespaces()
    """Which namespaces may use the store."""
    default: bool = False
    """Makes this the upload store of every namespace that may use it and whose executions name none. A default in the
    namespace itself wins over one from elsewhere."""
    tuning: Tuning = Tuning()
    """How data is moved to and from the store."""

    rules: ClassVar = (exactly_one("s3"),)


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
            Column("Bucket", ".spec.s3.bucket", description="The bucket."),
            Column("Default", ".spec.default", "boolean", "Whether executions that name no store save here."),
            Column("Ready", ".status.conditions[?(@.type=='Ready')].status", description="Whether it can be used."),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", description="Why."),
            Column("Message", ".status.conditions[?(@.type=='Ready')].message", description="Why.", priority=1),
            AGE,
        ),
    )
