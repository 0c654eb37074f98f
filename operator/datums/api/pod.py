"""The parts of a Pod that an Execution takes over word for word."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from datums.api.markers import Quantity, Rule, cel, exactly_one, keyed_by
from datums.api.meta import Name, Part, Preserved

Key = Annotated[str, Meta(min_length=1, max_length=253)]
_VARIABLE_RULE = Rule("!self.contains('=')", "a variable's name must not contain '='")
Labels = Annotated[dict[str, Annotated[str, Meta(max_length=63)]], Meta(max_length=64)]
Annotations = Annotated[dict[str, Annotated[str, Meta(max_length=65536)]], Meta(max_length=64)]


class KeyReference(Part, frozen=True):
    """One key of a ConfigMap or a Secret in the object's own namespace."""

    name: Name
    """Name of the ConfigMap or Secret."""
    key: Key
    """The key whose value is taken."""


class KeySelector(KeyReference, frozen=True):
    """One key of a ConfigMap or a Secret in the Execution's namespace."""

    optional: bool = False
    """Go on without it when the object or the key does not exist."""


class ObjectSelector(Part, frozen=True):
    """A whole ConfigMap or Secret in the Execution's namespace."""

    name: Name
    """Name of the ConfigMap or Secret."""
    optional: bool = False
    """Go on without it when the object does not exist."""


class FieldSelector(Part, frozen=True):
    """A field of the pod itself."""

    field_path: Annotated[str, Meta(min_length=1, max_length=512)]
    """Path of the field, such as `metadata.name` or `status.hostIP`."""
    api_version: Annotated[str, Meta(max_length=64)] | None = None
    """Version of the Pod schema that the path is written in, `v1` when unset."""


class ResourceFieldSelector(Part, frozen=True):
    """A resource request or limit of a container of the pod."""

    resource: Annotated[str, Meta(min_length=1, max_length=253)]
    """The resource, such as `limits.cpu` or `requests.memory`."""
    container_name: Annotated[str, Meta(max_length=63)] | None = None
    """The container, `main` when unset."""
    divisor: Quantity | None = None
    """Unit in which the value is given, such as `1Mi`; `1` when unset."""


class EnvVarSource(Part, frozen=True):
    """Where the value of a variable comes from."""

    config_map_key_ref: KeySelector | None = None
    """One key of a ConfigMap."""
    secret_key_ref: KeySelector | None = None
    """One key of a Secret."""
    field_ref: FieldSelector | None = None
    """A field of the pod."""
    resource_field_ref: ResourceFieldSelector | None = None
    """A resource request or limit of the pod's containers."""

    rules: ClassVar = (exactly_one("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef"),)


class EnvVar(Part, frozen=True):
    """One environment variable of the main container."""

    name: Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=cel(_VARIABLE_RULE))]
    """Name of the variable. Names that begin with `VH_` are Datums' own."""
    value: Annotated[str, Meta(max_length=131072)] | None = None
    """The value; `$(NAME)` of an earlier variable is expanded."""
    value_from: EnvVarSource | None = None
    """Takes the value from somewhere else."""

    rules: ClassVar = (Rule("!(has(self.value) && has(self.valueFrom))", "value and valueFrom must not both be set"),)


class EnvFromSource(Part, frozen=True):
    """A ConfigMap or Secret whose every key becomes a variable."""

    prefix: Annotated[str, Meta(max_length=256)] = ""
    """Put before every name."""
    config_map_ref: ObjectSelector | None = None
    """The ConfigMap."""
    secret_ref: ObjectSelector | None = None
    """The Secret."""

    rules: ClassVar = (exactly_one("configMapRef", "secretRef"),)


class ResourceClaim(Part, frozen=True):
    """A resource claim of the pod that the main container uses."""

    name: Annotated[str, Meta(min_length=1, max_length=63)]
    """Name of an entry in `spec.template.spec.resourceClaims`."""
    request: Annotated[str, Meta(max_length=63)] | None = None
    """One request of the claim; all of them when unset."""


class Resources(Part, frozen=True):
    """Compute resources of the main container."""

    limits: Annotated[dict[str, Quantity], Meta(max_length=32)] = field(default_factory=dict)
    """The most that it may use, by resource name: `cpu`, `memory`, `nvidia.com/gpu`."""
    requests: Annotated[dict[str, Quantity], Meta(max_length=32)] = field(default_factory=dict)
    """What the node must have free for it; as the limits when unset."""
    claims: Annotated[tuple[ResourceClaim, ...], Meta(max_length=16, extra_json_schema=keyed_by("name"))] = ()
    """Resource claims that it uses (dynamic resource allocation)."""


class EmptyDir(Part, frozen=True):
    """A volume on the node that lives as long as the pod."""

    size_limit: Quantity | None = None
    """The most that it may hold; the kubelet evicts a pod that writes more."""
    medium: Literal["", "Memory"] = ""
    """`Memory` keeps the files in the node's memory, which counts against the memory limit; empty: on its disk."""


class TemplateMeta(Part, frozen=True):
    """Metadata of an object that is made from a template."""

    labels: Labels = field(default_factory=dict)
    """Labels. Those of `datums.dev` and `app.kubernetes.io/managed-by` are Datums' own."""
    annotations: Annotations = field(default_factory=dict)
    """Annotations. Those of `datums.dev` are Datums' own."""


class ClaimTemplate(Part, frozen=True, kw_only=True):
    """A claim that is made for the pod, and removed with it (a generic ephemeral volume)."""

    metadata: TemplateMeta = TemplateMeta()
    """Labels and annotations of the claim."""
    spec: Preserved
    """A PersistentVolumeClaim's spec: `accessModes`, `storageClassName`, `resources.requests.storage` and the rest."""
