"""The one seam to the API server: dicts in, dicts out, typed errors (`kube_errors`), bounded retries.

The official client serves for configuration, authentication (rotating in-cluster tokens too) and the connection pool; its
models are never built, which is what costs the time there.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from datums.api.names import FIELD_MANAGER
from datums.control.kube_errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    error_of,
)
from datums.control.resources import (
    CONFIGMAPS,
    DATASTORES,
    DATUMS,
    EVENTS,
    EXECUTIONS,
    LEASES,
    NAMESPACES,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    SECRETS,
    SERVICES,
    TOKENREVIEWS,
    Resource,
)

__all__ = [
    "CONFIGMAPS", "DATASTORES", "DATUMS", "EVENTS", "EXECUTIONS", "LEASES", "NAMESPACES", "PERSISTENTVOLUMECLAIMS", "PODS",
    "SECRETS", "SERVICES", "TOKENREVIEWS",
    "AlreadyExists", "Conflict", "Connection", "Expired", "Forbidden", "Invalid", "Kube", "KubeError", "Listing", "NotFound",
    "Obj", "Resource", "TooManyRequests", "Unauthorized", "Unavailable",
]  # fmt: skip

Obj: TypeAlias = dict[str, Any]
Objects: TypeAlias = list[Obj]
Observer: TypeAlias = Callable[[str, str, int, float], None]
"""Called after each request with verb, plural, HTTP status (0: no answer) and seconds."""

_JSON: Final = "application/json"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MERGE: Final = "application/merge-patch+json"
_APPLY: Final = "application/apply-patch+yaml"
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_HOME_CONFIG: Final = str(Path("~/.kube/config").expanduser())
_ATTEMPTS: Final = 5
_LONGEST_WAIT: Final = 8.0
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and who we are to it; read anew whenever it is asked for, because tokens rotate."""

    server: str
    ca_file: str | None
    ca_data: str | bytes | None
    certificate_file: str | None
    key_file: str | None
    token: str | None
    insecure: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A list, and the point in time that it shows."""

    items: Objects
    resource_version: str


class Kube:
    """A connection to one API server. Make it with `Kube.connect` inside a running event loop and close it there.

    Attributes:
        namespace: where objects are that no namespace is said of: of the kubeconfig's context, or the pod's own.
    """

    def __init__(
        self, configuration: Configuration, observe: Observer | None = None, timeout: float = 30.0, namespace: str = ""
    ) -> None:
        self.namespace = namespace or "default"
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._client.user_agent = FIELD_MANAGER
        self._observe = observe
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    @classmethod
    async def connect(cls, kubeconfig: str = "", observe: Observer | None = None, *, context: str = "") -> Kube:
        """Connects by the given kubeconfig, else by $KUBECONFIG, else as a pod, else by ~/.kube/config.

        Args:
            context: of the kubeconfig; its current one when empty.

        Raises:
            KubeError: none of them leads to an API server.
        """
        configuration = Configuration()
        path = kubeconfig or os.environ.get("KUBECONFIG", "")
        try:
            if not path and os.environ.get("KUBERNETES_SERVICE_HOST"):
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
                namespace = _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.exists() else ""
            else:
                path = path or _HOME_CONFIG
                loader = await load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=path, context=context or None, client_configuration=configuration
                )
                namespace = loader.current_context["context"].get("namespace") or ""
        except (ConfigException, OSError) as error:
            source = path or "the pod's service account"
            told = f"cannot connect by {source}: {error}; set KUBECONFIG to a kubeconfig file"
            raise KubeError(0, "NoConfiguration", told) from None
        return cls(configuration, observe, namespace=namespace)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Kube:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connection(self) -> Connection:
        """What another client needs to connect as we do."""
        c = self._configuration
        bearer = await c.get_api_key_with_prefix("BearerToken", "authorization")
        return Connection(
            server=c.host,
            ca_file=c.ssl_ca_cert,
            ca_data=c.ca_cert_data,
            certificate_file=c.cert_file,
            key_file=c.key_file,
            token=bearer.split(" ", 1)[-1] if bearer else None,
            insecure=not c.verify_ssl,
        )

    async def get(self, res: Resource, ns: str | None, name: str, *, metadata_only: bool = False) -> Obj:
        """One object.

        Args:
            metadata_only: leaves out everything but the metadata (for a Secret: its content is not even sent).
        """
        return await self._call("GET", res, ns, name, accept=_METADATA if metadata_only else _JSON)

    async def list(
        self, res: Resource, ns: str | None = None, *, label_selector: str = "", field_selector: str = "", limit: int = _CHUNK
    ) -> Objects:
        """All objects that match, asked for in chunks of `limit`."""
        return (await self.listing(res, ns, label_selector=label_selector, field_selector=field_selector, limit=limit)).items

    async def listing(
        self, res: Resource, ns: str | None = None, *, label_selector: str = "", field_selector: str = "", limit: int = _CHUNK
    ) -> Listing:
        """As `list`, with the resource version of the whole.

        Raises:
            Expired: the objects changed too much while the list was read, twice.
        """
        query = {"limit": str(limit), "labelSelector": label_selector, "fieldSelector": field_selector}
        try:
            return await self._pages(res, ns, query)
        except Expired:
            return await self._pages(res, ns, query)

    async def create(self, res: Resource, ns: str | None, obj: Obj, *, dry_run: bool = False, strict: bool = False) -> Obj:
        """Makes an object; with `dry_run` only asks whether it could be made, with `strict` refuses fields that the kind has not.

        It is not retried where it may have been done already: `AlreadyExists` then means a look at who owns the object.
        """
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
        query["fieldValidation"] = "Strict" if strict else ""
        return await self._call("POST", res, ns, "", query=query, body=obj)

    async def apply(self, res: Resource, ns: str | None, name: str, obj: Obj, *, subresource: str = "", force: bool = True) -> Obj:
        """Server-side apply: `obj` is all that we want to say about the object; what we said before and leave out now, goes.

        A `metadata.resourceVersion` in it makes the write a compare-and-set (`Conflict`).
        """
        body = {"apiVersion": res.api_version, "kind": res.kind, **obj}
        body["metadata"] = {**obj.get("metadata", {}), "name": name}
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._call("PATCH", res, ns, name, subresource, query=query, body=body, content_type=_APPLY)

    async def patch(self, res: Resource, ns: str | None, name: str, merge_patch: Obj, *, subresource: str = "") -> Obj:
        """A JSON merge patch: null removes a field."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", res, ns, name, subresource, query=query, body=merge_patch, content_type=_MERGE)

    async def delete(
        self,
        res: Resource,
        ns: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        grace: int | None = None,
        propagation: str = "Background",
    ) -> Obj:
        """Deletes an object, if it is still the one of that uid and version (`Conflict`).

        Args:
            grace: seconds; the object's own when None.
        """
        options: Obj = {"propagationPolicy": propagation}
        preconditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v is not None}
        if preconditions:
            options["preconditions"] = preconditions
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        return await self._call("DELETE", res, ns, name, body=options)

    async def _pages(self, res: Resource, ns: str | None, query: Mapping[str, str]) -> Listing:
        items: Objects = []
        token = ""
        while True:
            page = await self._call("GET", res, ns, "", query={**query, "continue": token})
            for item in page.get("items") or []:
                # Items of a list come without the two; everything else here says what it is.
                item["apiVersion"], item["kind"] = res.api_version, res.kind
                items.append(item)
            token = page["metadata"].get("continue", "")
            if not token:
                return Listing(items, page["metadata"].get("resourceVersion", ""))

    async def _call(
        self,
        method: str,
        res: Resource,
        ns: str | None,
        name: str,
        subresource: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: Obj | None = None,
        accept: str = _JSON,
        content_type: str = _JSON,
    ) -> Obj:
        path = res.path(ns, name, subresource)
        if given := {k: v for k, v in (query or {}).items() if v}:
            path += "?" + urlencode(given)
        what = f"{method} {res.kind} {f'{ns}/' if ns else ''}{name}".rstrip()
        headers = {"Accept": accept, "Content-Type": content_type}
        for attempt in range(_ATTEMPTS):
            try:
                return await self._once(method, res, path, headers, body)
            except _Refused as refused:
                # A POST may have been done although its answer was lost; that it was turned away (429) or never sent is sure.
                if attempt + 1 == _ATTEMPTS or not (refused.harmless or (refused.retryable and method != "POST")):
                    raise refused.typed(what) from None
                wait = min(_LONGEST_WAIT, 0.2 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
                await asyncio.sleep(max(wait, min(refused.retry_after, _LONGEST_WAIT)))
        raise AssertionError("unreachable")

    async def _once(self, method: str, res: Resource, path: str, headers: Mapping[str, str], body: Obj | None) -> Obj:
        started = time.monotonic()
        status = 0
        try:
            # The path is whole already and the body is plain JSON: the client need not walk through them.
            verb, url, sent, _, _ = await self._client.param_serialize(
                method, path, header_params=dict(headers), auth_settings=["BearerToken"]
            )
            response = await self._client.call_api(verb, url, sent, body=body, _request_timeout=self._timeout)
            data = await response.read()  # type: ignore[no-untyped-call]
            status = response.status
            retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = f"no answer from {self._configuration.host}: {str(error) or type(error).__name__}".encode()
            raise _Refused(0, told, harmless=isinstance(error, aiohttp.ClientConnectorError)) from None
        finally:
            if self._observe:
                self._observe(method, res.plural, status, time.monotonic() - started)
        if status >= 400:
            raise _Refused(status, data, retry_after=float(retry_after) if retry_after.isdigit() else 0.0)
        decoded: Obj = msgspec.json.decode(data)
        return decoded


class _Refused(Exception):
    """An answer that may be worth another attempt."""

    def __init__(self, status: int, body: bytes, *, harmless: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(status)
        self.status, self.body, self.retry_after = status, body, retry_after
        self.harmless = harmless or status == 429
        """Surely nothing was done."""
        self.retryable = status == 0 or status >= 500

    def typed(self, what: str) -> KubeError:
        return error_of(self.status, self.body, what)
