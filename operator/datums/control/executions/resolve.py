"""From the names in an execution's spec to stores and sources. Pure over what was looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from datums.api.datum import Datum
from datums.api.execution import Execution, ExecutionSpec, Input
from datums.api.reasons import Failed
from datums.control.executions.errors import NotStartable
from datums.control.store_access import (
    StoreChoiceError,
    check_writable,
    default_store,
    named_store,
    readiness,
    store_of_root,
    stores_of_root,
    usable,
)
from datums.control.store_places import name_of, neighbours, place_of, spec_of
from datums.model import links
from datums.model.globs import fixed_prefix, is_glob
from datums.model.ids import is_bundle, set_of_datum
from datums.model.layout import leads_into, projects_prefix
from datums.model.links import BucketLink, DatumLink, Link, LinkError, Pin, StoreLink, WebLink
from datums.model.plan import DatumSource, InputPlan, ObjectsSource, SetSource, Source, WebSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What there is besides the execution."""

    namespace_labels: Mapping[str, str]
    stores: Iterable[dict[str, Any]]
    """All DataStores."""
    datums: Mapping[UUID, Datum | None]
    """Every datum that a link of the execution names, as far as it has an object of its own in the execution's namespace."""
    sets: Mapping[str, Datum | None]
    """For a datum without one: any Datum of its set."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Names, resolved."""

    output: str
    """`<namespace>/<name>` of the upload store."""
    inputs: list[InputPlan]
    stores: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Every DataStore that the attempt uses, by `<namespace>/<name>`."""


def links_of(spec: ExecutionSpec) -> list[tuple[Input, str, Link]]:
    """Every link: input, text, parsed.

    Raises:
        NotStartable: InvalidSpec.
    """
    found = []
    for declared in spec.inputs:
        for text in declared.links or (declared.link or "",):
            try:
                found.append((declared, text, links.parse(text)))
            except LinkError as error:
                raise NotStartable(Failed.INVALID_SPEC, f"spec.inputs[{declared.name}]: {error}") from None
    return found


def resolve(execution: Execution, around: Surroundings) -> Resolution:
    """Chooses the stores and turns the links into sources.

    Raises:
        NotStartable: something is missing, not shared or not ready.
    """
    namespace, spec = execution.metadata.namespace, execution.spec
    resolver = _Resolver(namespace, around)
    try:
        output = resolver.output(spec)
        sources: dict[str, list[Source]] = {declared.name: [] for declared in spec.inputs}
        for declared, text, link in links_of(spec):
            try:
                sources[declared.name].append(resolver.source(text, link))
            except StoreChoiceError as error:
                raise NotStartable(error.reason, f"input {declared.name}, link {text}: {error}") from None
    except StoreChoiceError as error:
        raise NotStartable(error.reason, str(error)) from None
    inputs = [
        InputPlan(
            name=declared.name,
            input_id=str(uuid5(NAMESPACE_URL, f"https://datums.dev/inputs/{execution.metadata.uid}/{declared.name}")),
            sources=sources[declared.name],
            optional=declared.optional,
            filename=declared.filename or "",
            keep_directories=declared.keep_directories,
        )
        for declared in spec.inputs
    ]
    return Resolution(output, inputs, resolver.used)


def resolve_output(execution: Execution, around: Surroundings) -> Resolution:
    """The upload store alone.

    Raises:
        NotStartable: there is none, or it is not ready.
    """
    resolver = _Resolver(execution.metadata.namespace, around)
    try:
        return Resolution(resolver.output(execution.spec), [], resolver.used)
    except StoreChoiceError as error:
        raise NotStartable(error.reason, str(error)) from None


def resolve_link(text: str, link: Link, namespace: str, around: Surroundings) -> Resolution:
    """What one link means in a namespace, besides any execution; in a store that is not ready, too.

    Returns:
        One input without a name; no upload store.

    Raises:
        NotStartable: it names what is not there, not shared, or not one thing.
        StoreChoiceError: no store has it, or several have.
    """
    resolver = _Resolver(namespace, around, must_be_ready=False)
    source = resolver.source(text, link)
    return Resolution("", [InputPlan(name="", input_id="", sources=[source])], resolver.used)


class _Resolver:
    def __init__(self, namespace: str, around: Surroundings, *, must_be_ready: bool = True) -> None:
        self._namespace, self._around, self._must_be_ready = namespace, around, must_be_ready
        self._stores = list(around.stores)
        self._usable = usable(self._stores, namespace, around.namespace_labels)
        self.used: dict[str, dict[str, Any]] = {}

    def output(self, spec: ExecutionSpec) -> str:
        if spec.outputs.store is None:
            if not self._usable:
                raise NotStartable(
                    Failed.STORE_NOT_READY,
                    f"there is no DataStore that namespace {self._namespace} may use: create one there, or have one shared",
                )
            chosen = default_store(self._usable, self._namespace)
        else:
            chosen = self._named(spec.outputs.store)
        check_writable(chosen)
        return self._use(chosen)

    def source(self, text: str, link: Link) -> Source:
        match link:
            case DatumLink():
                return self._datum(text, link)
            case BucketLink():
                return self._bucket(text, link)
            case StoreLink(store=name, namespace=where, pattern=pattern, pin=pin):
                return self._objects(text, self._named(f"{name}@{where}" if where else name), pattern, pin)
            case WebLink(azure=BucketLink() as azure) if self._reads(azure):
                return self._bucket(text, azure)
            case WebLink(url=url, pin=pin):
                return WebSource(link=text, url=url, pin=pin)

    def _reads(self, link: BucketLink) -> bool:
        """Whether the object of a URL is read through a DataStore. A URL has no wildcards: where its object looks as if, it is
        read by the URL."""
        return not is_glob(link.pattern) and bool(stores_of_root(self._usable, link.root, self._namespace))

    def _bucket(self, text: str, link: BucketLink) -> Source:
        return self._objects(text, store_of_root(self._usable, link.root, self._namespace), link.pattern, link.pin)

    def _objects(self, text: str, store: dict[str, Any], pattern: str, pin: Pin) -> Source:
        """`fetch` checks every key that it finds; what the link itself says needs no pod."""
        fixed = fixed_prefix(pattern)
        for prefix in (place_of(spec_of(store)).prefix, *neighbours(store, self._stores)):
            owner, slash, _ = (leads_into(fixed, projects_prefix(prefix)) or "").partition("/")
            if slash and owner != self._namespace:
                raise NotStartable(
                    Failed.NOT_SHARED,
                    f"link {text} leads into what Datums saved for namespace {owner}, which no raw link may read: only "
                    "datums of the execution's own namespace can be inputs",
                    final=True,
                )
        return ObjectsSource(link=text, store=self._use(store), pattern=pattern, pin=pin)

    def _datum(self, text: str, link: DatumLink) -> Source:
        if link.namespace and link.namespace != self._namespace:
            raise NotStartable(
                Failed.NOT_SHARED,
                f"link {text}: namespace {link.namespace} shares no datum with {self._namespace}; only datums of the execution's "
                "own namespace can be inputs",
            )
        found = self._around.datums.get(link.datum)
        if found is not None and not is_bundle(link.datum) and found.spec.location is not None and found.spec.sha256:
            location = found.spec.location
            return DatumSource(
                link=text,
                datum=str(link.datum),
                path=found.spec.path,
                store=self._use(self._known(location.store, text)),
                key=location.key,
                offset=location.offset or 0,
                size=found.spec.size,
                sha256=found.spec.sha256,
                pin=link.pin,
            )
        member = found or self._around.sets.get(set_of_datum(link.datum))
        if member is None:
            raise NotStartable(
                Failed.INPUT_NOT_FOUND,
                f"link {text}: there is no Datum {link.datum} in namespace {self._namespace}; `kubectl get datums -n "
                f"{self._namespace}` lists those that there are",
            )
        manifest = member.spec.source.manifest
        return SetSource(
            link=text,
            store=self._use(self._known(manifest.store, text)),
            manifest_key=manifest.key,
            manifest_sha256=manifest.sha256,
            datum="" if is_bundle(link.datum) else str(link.datum),
            path=link.path,
            pin=link.pin,
        )

    def _named(self, reference: str) -> dict[str, Any]:
        return named_store(self._stores, reference, self._namespace, self._around.namespace_labels)

    def _known(self, name: str, text: str) -> dict[str, Any]:
        where, _, store = name.partition("/")
        try:
            return self._named(f"{store}@{where}")
        except StoreChoiceError as error:
            raise NotStartable(error.reason, f"link {text}: its bytes are in a store that cannot be used: {error}") from None

    def _use(self, store: dict[str, Any]) -> str:
        ready, why = readiness(store)
        if not ready and self._must_be_ready:
            raise NotStartable(Failed.STORE_NOT_READY, f"{why}; the execution starts when it is")
        self.used[name_of(store)] = store
        return name_of(store)
