"""Execution: one run of a command in an image, with its inputs, outputs and parameters."""

from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta, field

from datums.api.execution_status import ExecutionStatus
from datums.api.links import Link
from datums.api.markers import AGE, Column, Resource, Rule, cel, exactly_one, immutable, keyed_by
from datums.api.meta import ObjectMeta, Part, Preserved, Root
from datums.api.names import API_VERSION
from datums.api.pod import ClaimTemplate, EmptyDir, EnvFromSource, EnvVar, Resources, TemplateMeta
from datums.api.untyped import SCALAR_OR_SCALARS, STRING_OR_STRINGS

SUCCEEDED: Final = "Succeeded"
"""The condition of an Execution: Unknown until it has ended, then True or False for good."""
MUTABLE: Final = ("stop", "suspend", "ttlSecondsAfterFinished")
"""The fields of the spec that may change after creation."""

_BECAUSE = f"an Execution is one run, of which only {', '.join(MUTABLE)} may change; create a new Execution"

_LINKS_RULE = Rule(
    "self.map(input, has(input.links) ? size(input.links) : 1).sum() <= 256",
    "inputs must have at most 256 links together; one link with wildcards brings any number of files",
)
_INPUT_NAME_RULE = Rule(
    "self.matches('^[^/[:cntrl:]]+$') && !(self in ['.', '..'])",
    "an input's name becomes the name of its directory: no '/', no control character, not '.' or '..'",
)
_FILENAME_RULE = Rule(
    "self.matches('^[^/[:cntrl:]]+$') && !(self in ['.', '..'])",
    "filename must be a bare file name: no '/', no control character, not '.' or '..'",
)
_PARAMETER_NAME_RULE = Rule(
    "self.matches('^[^{}[:cntrl:]]+$')", "a parameter's name must have neither '{' nor '}' nor control characters"
)

Command = Annotated[str | tuple[str, ...], Meta(extra_json_schema=STRING_OR_STRINGS)]
Scalar = str | int | float | bool
Value = Annotated[Scalar | tuple[Scalar, ...] | None, Meta(extra_json_schema=SCALAR_OR_SCALARS)]


class Parameter(Part, frozen=True):
    """One parameter: given to the command where `{parameters}` or `{parameter:<name>}` stands, and written to
    `/valohai/config/parameters.json`."""

    name: Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=cel(_PARAMETER_NAME_RULE))]
    """Name of the parameter, unique in the execution."""
    value: Value = None
    """The value: a string, a number, true or false, or a list of these. Without one the parameter is left off the
    command line."""
    style: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    """How it is written on the command line, with `{name}` and `{value}`; `--{name}={value}` when unset."""


class Input(Part, frozen=True):
    """Files that are in `/valohai/inputs/<name>/` before the command starts."""

    name: Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=cel(_INPUT_NAME_RULE))]
    """Name of the input, and of its directory; unique in the execution."""
    link: Link | None = None
    """Where the files are: `datum://<id>`, `s3://<bucket>/<key>`, `gs://<bucket>/<key>`, `azure://<account>/<container>/<key>`,
    `swift://<project>/<container>/<key>` (OVH), `oci://<bucket>@<namespace>/<key>` (Oracle), `store://<datastore>/<key>` or
    `https://…`. Keys may hold wildcards: `*` within one level, `**` across levels. Either this or `links`."""
    links: Annotated[tuple[Link, ...], Meta(min_length=1, max_length=16)] | None = None
    """Several links, whose files come into the one directory; they may be in different stores."""
    optional: bool = False
    """Go on with an empty directory when nothing is found."""
    filename: Annotated[str, Meta(min_length=1, max_length=255, extra_json_schema=cel(_FILENAME_RULE))] | None = None
    """Name for the file on disk instead of its own; without effect when there are several files."""
    keep_directories: Literal["None", "Suffix", "Full"] = "None"
    """Directories to make under the input's own. `None`: all files beside each other; `Suffix`: the path from the first
    wildcard on; `Full`: the whole path in the store."""

    rules: ClassVar = (exactly_one("link", "links"),)


class OutputVolume(Part, frozen=True):
    """The volume that holds `/valohai/outputs` while the execution runs."""

    empty_dir: EmptyDir | None = None
    """A volume on the node."""
    claim_template: ClaimTemplate | None = None
    """A claim that is made for the pod, and removed with it."""

    rules: ClassVar = (exactly_one("emptyDir", "claimTemplate"),)


class Outputs(Part, frozen=True):
    """Where what the command writes to `/valohai/outputs` is saved."""

    store: (
        Annotated[
            str,
            Meta(
                max_length=320,
                extra_json_schema=cel(
                    Rule("self.matches('^[-a-z0-9.]+(@[-a-z0-9]+)?$')", "store must be <datastore> or <datastore>@<namespace>")
                ),
            ),
        ]
        | None
    ) = None
    """The DataStore, `<name>` or `<name>@<namespace>`; the namespace's default store when unset."""
    datum_limit: Annotated[int, Meta(ge=0, le=1000)] = 256
    """Up to this many files each get a Datum object of their own; more files get one Datum together, a bundle, in which
    each has its own link."""
    packs: Literal["Auto", "Never"] = "Auto"
    """`Auto`: many small files are saved together in plain tar objects, each still a datum of its own; `Never`: every file
    is an object of its own."""
    volume: OutputVolume | None = None
    """The volume that holds the outputs while the execution runs; an emptyDir without a limit when unset."""


class PodTemplate(Part, frozen=True):
    """What the execution's pod shall have besides what Datums gives it."""

    metadata: TemplateMeta = TemplateMeta()
    """Labels and annotations of the pod."""
    spec: Preserved = field(default_factory=dict)
    """Any field of a Pod's spec, merged into the execution's pod: `nodeSelector`, `tolerations`, `affinity`, `volumes`,
    `securityContext`, `runtimeClassName`, …; container `main` is the one that runs the command."""


class ExecutionSpec(Part, frozen=True, kw_only=True):
    """What to run. Immutable, but for `stop`, `suspend` and `ttlSecondsAfterFinished`."""

    image: Annotated[str, Meta(min_length=1, max_length=1024)]
    """Container image that the command runs in."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the node pulls the image; as for any container when unset: `Always` for the tag `latest`, else
    `IfNotPresent`."""
    command: Command
    """A string, or a list of strings, run by `/bin/sh` in `/valohai/repository`; the last command's exit code decides.
    `{parameters}`, `{parameter:<name>}` and `{parameter-value:<name>}` are replaced."""
    parameters: Annotated[tuple[Parameter, ...], Meta(max_length=256, extra_json_schema=keyed_by("name"))] = ()
    """Values for the command."""
    inputs: Annotated[tuple[Input, ...], Meta(max_length=64, extra_json_schema=keyed_by("name") | cel(_LINKS_RULE))] = ()
    """Files that are there before the command starts, each input in a directory of its own. What was found is pinned in
    `status.inputs`."""
    outputs: Outputs = Outputs()
    """Where what the command writes to `/valohai/outputs` is saved."""
    env: Annotated[tuple[EnvVar, ...], Meta(max_length=256, extra_json_schema=keyed_by("name"))] = ()
    """Environment variables of the main container, as in a Pod."""
    env_from: Annotated[tuple[EnvFromSource, ...], Meta(max_length=32)] = ()
    """ConfigMaps and Secrets whose every key becomes a variable, as in a Pod."""
    resources: Resources = Resources()
    """Compute resources of the main container, as in a Pod."""
    template: PodTemplate = PodTemplate()
    """Anything else of a Pod."""
    backoff_limit: Annotated[int, Meta(ge=0, le=100)] = 0
    """How often a failed run is tried again; each try is a new attempt with a pod of its own."""
    active_deadline_seconds: Annotated[int, Meta(ge=1, le=2147483647)] | None = None
    """Stops the execution when it has been active for this long, all attempts together; what was saved is kept."""
    ttl_seconds_after_finished: Annotated[int, Meta(ge=0, le=2147483647)] | None = None
    """Removes the Execution and its pod this long after its end; never its data. Kept when unset."""
    stop_grace_period_seconds: Annotated[int, Meta(ge=0, le=86400)] = 30
    """Time between SIGTERM and SIGKILL when the execution is stopped."""
    suspend: bool = False
    """The execution does not start as long as this is true. One that runs is stopped as by `stop`; what was saved is kept, and
    false again starts a new attempt."""
    stop: bool = False
    """Stops the execution: SIGTERM to the command, SIGKILL after the grace period; what was saved is kept. Cannot be
    taken back."""

    rules: ClassVar = (
        # CEL cannot look into command, which has no one type, but `dyn` lets it compare the two.
        Rule("dyn(self).command == dyn(oldSelf).command", f"command is immutable: {_BECAUSE}", ".command"),
        *immutable(
            "image",
            "imagePullPolicy",
            "parameters",
            "inputs",
            "outputs",
            "env",
            "envFrom",
            "resources",
            "template",
            "backoffLimit",
            "activeDeadlineSeconds",
            "stopGracePeriodSeconds",
            because=_BECAUSE,
        ),
        Rule("!oldSelf.stop || self.stop", "stop cannot be taken back; create a new Execution", ".stop"),
    )


class Execution(Root, frozen=True, kw_only=True):
    """One run of a command in an image: its inputs become local files, and whatever it writes to its outputs directory
    becomes immutable, addressable datums."""

    api_version: str = API_VERSION
    kind: str = "Execution"
    metadata: ObjectMeta = ObjectMeta()
    spec: ExecutionSpec
    """What to run. Immutable, but for `stop`, `suspend` and `ttlSecondsAfterFinished`."""
    status: ExecutionStatus = ExecutionStatus()
    """How far it has come, and what came of it."""

    rules: ClassVar = (Rule("size(self.metadata.name) <= 63", "metadata.name must have at most 63 characters: it becomes a label"),)
    resource: ClassVar = Resource(
        kind="Execution",
        plural="executions",
        singular="execution",
        short_names=("exn",),
        columns=(
            Column("Succeeded", ".status.conditions[?(@.type=='Succeeded')].status", description="Unknown: not ended."),
            Column("Reason", ".status.conditions[?(@.type=='Succeeded')].reason", description="Where it is, or why."),
            Column("Progress", ".status.progress", description="How far it has come."),
            Column("Outputs", ".status.outputs.files", "integer", "Number of files saved."),
            Column("Duration", ".status.duration", description="Time from the start to the end."),
            Column("Message", ".status.conditions[?(@.type=='Succeeded')].message", description="Why.", priority=1),
            AGE,
        ),
        selectable_fields=(".spec.image", ".spec.outputs.store"),
    )
