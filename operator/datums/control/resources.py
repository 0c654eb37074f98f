"""The kinds that the operator reads and writes, as the API server addresses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from datums.api.names import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API server."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`<group>/<version>`, or `<version>` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
        """The URL path of an object, or of the collection where no name is given.

        Args:
            namespace: None addresses the collection of all namespaces, or a resource without a namespace.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [self.plural]
        if name:
            parts += [quote(name, safe="")]
        if subresource:
            parts += [subresource]
        return "/".join(parts)


EXECUTIONS: Final = Resource(GROUP, VERSION, "executions", "Execution")
DATASTORES: Final = Resource(GROUP, VERSION, "datastores", "DataStore")
DATUMS: Final = Resource(GROUP, VERSION, "datums", "Datum")
PODS: Final = Resource("", "v1", "pods", "Pod")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS: Final = Resource("", "v1", "events", "Event")
SERVICES: Final = Resource("", "v1", "services", "Service")
PERSISTENTVOLUMECLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
TOKENREVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
