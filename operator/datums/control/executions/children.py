"""Makes, renews and removes what an attempt has in the cluster: its Secret, its pod, its datums. Each can be done again."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from datums.api.datum import Datum
from datums.api.execution import Execution
from datums.api.names import GROUP
from datums.api.reasons import Failed
from datums.control.executions import attempt as attempts
from datums.control.executions import datums as datum_objects
from datums.control.executions import template
from datums.control.executions.command import command_of
from datums.control.executions.errors import NotStartable
from datums.control.executions.lookup import Lookup
from datums.control.executions.planning import plan_of
from datums.control.executions.pods import build
from datums.control.executions.resolve import resolve, resolve_output
from datums.control.executions.verify import Verified
from datums.control.kube import DATUMS, PODS, SECRETS, AlreadyExists, Forbidden, KubeError, NotFound, Obj
from datums.control.podview import PodView
from datums.control.resources import Resource
from datums.control.services import Services
from datums.control.store_places import neighbours
from datums.control.store_reader import OpenAccess
from datums.model import plan as plans

ANNOTATION_CREDENTIALS: Final = f"{GROUP}/credentials"
"""On the pod: JSON, `<namespace>/<name>` of each DataStore → resource version of the Secret that the attempt was given."""
ANNOTATION_STORE: Final = f"{GROUP}/store"
"""On the pod: `<namespace>/<name>` of the DataStore that its outputs go to."""
_AT_ONCE: Final = 8
_BAD_POD: Final = (400, 422)
_VIOLATES: Final = "violates PodSecurity"
_RESTRICTED: Final = f'{_VIOLATES} "restricted'


class Blocked(Exception):
    """The API server does not take an object for reasons outside of the spec; the message is its own."""


class Children:
    """The children of executions."""

    def __init__(self, services: Services, lookup: Lookup) -> None:
        self._services, self._lookup = services, lookup

    async def start(self, execution: Execution, attempt: int) -> Obj:
        """Makes the Secret and the pod of an attempt; what is there already is taken over.

        Raises:
            NotStartable: the spec or what it refers to is not fit.
            Blocked: the API server does not let us.
        """
        namespace = execution.metadata.namespace
        template.check(execution.spec)
        command = command_of(execution.spec)
        resolved = resolve(execution, await self._lookup.surroundings(execution))
        opened = {name: await self._lookup.open(resolved.stores[name]) for name in sorted(resolved.stores)}
        files = _credential_files(opened)
        stores = list(self._services.cache.datastores.values())
        access = {
            name: replace(each.access, credentials=files[name], neighbours=neighbours(resolved.stores[name], stores))
            for name, each in opened.items()
        }
        plan = plan_of(execution, attempt, resolved, access, command, self._services.agent_url)
        data = {"plan.json": _text(plans.encode(plan)), **_credentials(opened)}
        await self._secret(execution, attempt, data)
        annotations = {ANNOTATION_CREDENTIALS: _versions(opened), ANNOTATION_STORE: resolved.output}
        restricted = await self._lookup.restricted(namespace)
        try:
            return await self._pod(execution, attempt, command, annotations, restricted=restricted)
        except Forbidden as error:
            # The level can be the cluster's default, or the operator may not read namespaces: the server's word is the same.
            if _RESTRICTED not in error.message or restricted:
                raise _forbidden(error) from None
        try:
            return await self._pod(execution, attempt, command, annotations, restricted=True)
        except Forbidden as error:
            raise _forbidden(error) from None

    async def output_store(self, execution: Execution, pod: PodView | None) -> Obj:
        """The DataStore that the current attempt was told to save to: its pod says so, else its Secret. Where both are gone, the
        execution's spec is the best that there is.

        Raises:
            NotStartable: there is no such DataStore any more.
        """
        name = pod.annotations.get(ANNOTATION_STORE, "") if pod else ""
        namespace = execution.metadata.namespace
        if not name:
            try:
                secret = await self._services.kube.get(
                    SECRETS, namespace, attempts.secret_name(execution, execution.status.attempt)
                )
                name = plans.decode(base64.b64decode(secret["data"]["plan.json"])).output.store
            except NotFound:
                return (resolved := resolve_output(execution, await self._lookup.surroundings(execution))).stores[resolved.output]
        where, _, store = name.partition("/")
        body = self._services.cache.datastores.get((where, store))
        if body is None:
            raise NotStartable(
                Failed.STORE_NOT_READY, f"DataStore {name} is gone, which the outputs were saved to: create it again"
            )
        return body

    async def renew_credentials(self, execution: Execution, pod: PodView) -> None:
        """Writes the credentials of now into the attempt's Secret, which the kubelet brings into the pod."""
        given = msgspec.json.decode(pod.annotations.get(ANNOTATION_CREDENTIALS, "{}"), type=dict[str, str])
        opened: dict[str, OpenAccess] = {}
        for name in sorted(given):
            namespace, _, store = name.partition("/")
            body = self._services.cache.datastores.get((namespace, store))
            if body is None:
                # Removed meanwhile: the attempt goes on with what it has.
                return
            opened[name] = await self._lookup.open(body)
        kube, namespace = self._services.kube, execution.metadata.namespace
        secret = attempts.secret_name(execution, pod.attempt)
        await kube.patch(SECRETS, namespace, secret, {"data": _credentials(opened)})
        await self.annotate(pod, ANNOTATION_CREDENTIALS, _versions(opened))

    def has_stale_credentials(self, pod: PodView) -> bool:
        """Whether a store of the attempt has another Secret than the pod was given."""
        given = msgspec.json.decode(pod.annotations.get(ANNOTATION_CREDENTIALS, "{}"), type=dict[str, str])
        seen = self._services.secret_versions
        return any(seen.get((n.partition("/")[0], n.partition("/")[2]), version) != version for n, version in given.items())

    async def annotate(self, pod: PodView, name: str, value: str) -> None:
        """Sets an annotation of a pod, if it is still that pod."""
        patch = {"metadata": {"uid": pod.uid, "annotations": {name: value}}}
        try:
            self._services.cache.pods.put(await self._services.kube.patch(PODS, pod.namespace, pod.name, patch))
        except NotFound:
            return

    async def delete_pod(self, pod: PodView, grace: int | None) -> None:
        """Deletes that very pod."""
        try:
            gone = await self._services.kube.delete(PODS, pod.namespace, pod.name, uid=pod.uid, grace=grace)
        except NotFound:
            return
        if gone.get("kind") == PODS.kind:
            self._services.cache.pods.put(gone)

    async def remove_secret(self, execution: Execution, attempt: int) -> None:
        """Removes the Secret of an attempt that is over."""
        namespace, name = execution.metadata.namespace, attempts.secret_name(execution, attempt)
        try:
            await self._services.kube.delete(SECRETS, namespace, name)
        except NotFound:
            return

    async def datums(self, execution: Execution, found: Verified, now: str) -> None:
        """Makes the Datum objects of a commit; those that are there already are left as they are.

        Raises:
            Blocked: an object of that name says something else.
        """
        labels = attempts.labels(execution, found.commit.execution.attempt)
        made = datum_objects.objects(labels, found, execution.spec.outputs.datum_limit)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def make(datum: Datum) -> None:
            async with gate:
                await self._datum(datum, now)

        await asyncio.gather(*(make(datum) for datum in made))

    async def _pod(
        self, execution: Execution, attempt: int, command: str, annotations: Mapping[str, str], *, restricted: bool
    ) -> Obj:
        pod = build(execution, attempt, command, restricted=restricted, settings=self._services.settings)
        pod["metadata"]["annotations"] |= annotations
        try:
            return await self._services.kube.create(PODS, execution.metadata.namespace, pod, strict=True)
        except AlreadyExists:
            return await self._own(PODS, execution, pod["metadata"]["name"])
        except KubeError as error:
            if error.status not in _BAD_POD:
                raise
            raise NotStartable(Failed.INVALID_POD_TEMPLATE, f"the API server refuses the pod: {error.message}") from None

    async def _datum(self, datum: Datum, now: str) -> None:
        kube, meta = self._services.kube, datum.metadata
        try:
            await kube.create(DATUMS, meta.namespace, datum_objects.body(datum))
        except AlreadyExists:
            there = msgspec.convert(await kube.get(DATUMS, meta.namespace, meta.name), Datum)
            if there.spec != datum.spec:
                raise Blocked(
                    f"Datum {meta.namespace}/{meta.name} exists and says something else than the verified manifest: see what made "
                    "it, and delete it"
                ) from None
            if there.status.conditions:
                return
        await kube.apply(DATUMS, meta.namespace, meta.name, datum_objects.status(datum, now), subresource="status")

    async def _secret(self, execution: Execution, attempt: int, data: Mapping[str, str]) -> None:
        kube, namespace = self._services.kube, execution.metadata.namespace
        name = attempts.secret_name(execution, attempt)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": attempts.labels(execution, attempt),
                "ownerReferences": [attempts.owner(execution)],
            },
            "type": "Opaque",
            "data": dict(data),
        }
        try:
            await kube.create(SECRETS, namespace, body)
        except AlreadyExists:
            await self._own(SECRETS, execution, name)
            await kube.patch(SECRETS, namespace, name, {"data": dict(data)})
        except Forbidden as error:
            raise Blocked(error.message) from None

    async def _own(self, resource: Resource, execution: Execution, name: str) -> Obj:
        """The object of that name, if it is the execution's.

        Raises:
            Blocked: it is somebody else's.
        """
        namespace = execution.metadata.namespace
        there = await self._services.kube.get(resource, namespace, name, metadata_only=resource is SECRETS)
        owners = there["metadata"].get("ownerReferences") or ()
        if not any(o.get("controller") and o["uid"] == execution.metadata.uid for o in owners):
            raise Blocked(f"{resource.kind} {namespace}/{name} exists and does not belong to this execution: delete or rename it")
        return there


def _forbidden(error: Forbidden) -> NotStartable | Blocked:
    """A Pod Security level is broken by the spec; a quota or a missing right can change."""
    if _VIOLATES in error.message:
        return NotStartable(Failed.INVALID_POD_TEMPLATE, f"the API server refuses the pod: {error.message}")
    return Blocked(error.message)


def _credential_files(opened: Mapping[str, OpenAccess]) -> dict[str, str]:
    return {name: f"store-{i}.json" for i, name in enumerate(sorted(opened))}


def _credentials(opened: Mapping[str, OpenAccess]) -> dict[str, str]:
    files = _credential_files(opened)
    return {files[name]: _text(msgspec.json.encode(dict(each.credentials))) for name, each in opened.items()}


def _versions(opened: Mapping[str, OpenAccess]) -> str:
    return msgspec.json.encode({name: each.secret_version for name, each in sorted(opened.items())}).decode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
