"""The plan: what the operator tells an attempt's pod. A document of bounded size, `plan.json` in the attempt's Secret.

The operator has resolved names; the pod resolves bulk (it lists globs and reads manifests). Credentials are not in the plan:
`StoreAccess.credentials` names another file of the same Secret, a JSON object of the keys of the DataStore's own Secret.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from datums.model.links import NO_PIN, Pin
from datums.model.placement import KeepDirectories
from datums.model.places import Kind


class StoreAccess(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How to reach one DataStore that is an object store."""

    kind: Kind = "s3"
    name: str
    """`<namespace>/<name>`."""
    bucket: str
    """The bucket, or the container."""
    account: str = ""
    """The storage account of Azure, the project of OVH, the namespace of Oracle."""
    prefix: str
    region: str = ""
    endpoint: str = ""
    force_path_style: bool = False
    ca_bundle: str = ""
    """PEM."""
    proxy: str = ""
    """URL of an HTTP proxy for all requests; empty for none."""
    anonymous: bool = False
    """Requests are not signed: only public objects can be read, nothing can be written."""
    concurrency: int = 16
    part_size_mib: int = 16
    checksums: Literal["WhenSupported", "WhenRequired"] = "WhenSupported"
    conditional_put: bool = True
    """What the probe found: False where the service ignores `If-None-Match`."""
    readable: list[str] = []
    """Key prefixes that raw links may read besides the project's own; `""` is all of the bucket."""
    neighbours: list[str] = []
    """Prefixes of other DataStores in the same bucket: what lies below them for other projects is as closed as below its own."""
    credentials: str = ""
    """File name beside the plan."""


class DatumSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="datum"):
    """One file whose Datum object the operator has read."""

    link: str
    datum: str
    path: str
    store: str
    key: str
    offset: int = 0
    """Where the file begins in the object: not 0 where it lies in a pack."""
    size: int
    sha256: str
    pin: Pin = NO_PIN


class SetSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="set"):
    """Files of a bundle: one by id (`datum`), some by path or glob (`path`), or all."""

    link: str
    store: str
    manifest_key: str
    manifest_sha256: str
    datum: str = ""
    path: str = ""
    pin: Pin = NO_PIN


class ObjectsSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="objects"):
    """Objects of a store, by key or glob."""

    link: str
    store: str
    pattern: str
    pin: Pin = NO_PIN


class WebSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag="web"):
    """A public file."""

    link: str
    url: str
    pin: Pin = NO_PIN


Source: TypeAlias = DatumSource | SetSource | ObjectsSource | WebSource


class InputPlan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One declared input."""

    name: str
    input_id: str
    """UUID, the same for every attempt."""
    sources: list[Source]
    optional: bool = False
    filename: str = ""
    keep_directories: KeepDirectories = "None"


class OutputPlan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where the outputs go."""

    store: str
    datum_limit: int = 256
    packs: Literal["Auto", "Never"] = "Auto"
    """Whether small files are grouped into tar objects."""


class ExecutionRef(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The attempt that the plan is for."""

    namespace: str
    name: str
    uid: str
    attempt: int


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything that `fetch` and `ship` need to know."""

    execution: ExecutionRef
    stores: dict[str, StoreAccess]
    output: OutputPlan
    inputs: list[InputPlan] = []
    parameters: dict[str, Any] = {}
    config: dict[str, Any] = {}
    """`/valohai/config/execution.json`, ready to write."""
    runtime: dict[str, Any] = {}
    """`/valohai/config/runtime.json`, ready to write."""
    provenance: dict[str, Any] = {}
    """For the manifest's header: image, command, parameters. `ship` adds inputs and reproducibility."""
    agent_url: str = ""
    """Where progress is reported; empty for nowhere."""


def encode(plan: Plan) -> bytes:
    """The plan as JSON."""
    return msgspec.json.encode(plan)


def decode(data: bytes) -> Plan:
    """The plan from JSON.

    Raises:
        msgspec.MsgspecError: not a plan.
    """
    return msgspec.json.decode(data, type=Plan)
