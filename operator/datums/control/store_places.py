"""Where a DataStore's bucket is, whatever its provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from datums.api.buckets import GCS, OVH, S3, Azure, CABundle, Oracle
from datums.api.datastore import DataStore, DataStoreSpec
from datums.control.cache import Obj
from datums.model import layout
from datums.model.places import Kind, root_of, service_url


class Place(NamedTuple):
    """What the blocks of the spec have in common."""

    kind: Kind
    bucket: str
    """The bucket, or the container."""
    account: str
    """The storage account of Azure, the project of OVH, the namespace of Oracle; else empty."""
    prefix: str
    region: str
    endpoint: str
    """As the spec has it; empty for the provider's own."""
    path_style: bool
    ca_bundle: CABundle | None
    proxy: str

    @property
    def root(self) -> str:
        """The link of the bucket, such as `s3://<bucket>`."""
        return root_of(self.kind, self.bucket, self.account)

    @property
    def roots(self) -> tuple[str, ...]:
        """All links of the bucket: those of OVH and Oracle are reached by S3, and so they are known by `s3://<bucket>` too."""
        return (self.root, f"s3://{self.bucket}") if self.kind in ("ovh", "oracle") else (self.root,)

    @property
    def location(self) -> str:
        """Where Datums writes, as a link."""
        return layout.join(self.root, self.prefix)

    @property
    def service(self) -> str:
        """URL of the service."""
        return service_url(self.kind, endpoint=self.endpoint, region=self.region, account=self.account)


def name_of(store: Obj) -> str:
    """`<namespace>/<name>`."""
    return f"{store['metadata']['namespace']}/{store['metadata']['name']}"


def spec_of(store: Obj) -> DataStoreSpec:
    """The spec, typed, with its defaults."""
    return msgspec.convert(store, DataStore).spec


def place_of(spec: DataStoreSpec) -> Place:
    """Where the bucket is.

    Raises:
        ValueError: the spec has no block that is known, which the API server does not let pass.
    """
    block = spec.s3 or spec.gcs or spec.azure or spec.ovh or spec.oracle
    kind: Kind
    region, path_style = "", False
    match block:
        case S3(bucket=bucket, region=region, force_path_style=path_style):
            kind, account = "s3", ""
        case GCS(bucket=bucket):
            kind, account = "gcs", ""
        case Azure(account=account, container=bucket):
            kind = "azure"
        case OVH(project=account, container=bucket, region=region):
            # By path, so that an endpoint of one's own need not answer for the name of every container.
            kind, path_style = "ovh", True
        case Oracle(namespace=account, bucket=bucket, region=region):
            kind, path_style = "oracle", True
        case None:
            raise ValueError("a DataStore of no kind that is known")
    return Place(
        kind=kind,
        bucket=bucket,
        account=account,
        prefix=block.prefix,
        region=region,
        endpoint=block.endpoint or "",
        path_style=path_style,
        ca_bundle=block.ca_bundle,
        proxy=block.proxy_url or "",
    )


def neighbours(store: Obj, stores: Iterable[Obj]) -> list[str]:
    """The prefixes of other DataStores in the same bucket, for `StoreAccess.neighbours`."""
    here = place_of(spec_of(store))
    others = (place_of(spec_of(other)) for other in stores)
    return sorted({other.prefix for other in others if _bucket(other) == _bucket(here)} - {here.prefix})


def _bucket(place: Place) -> tuple[str, str]:
    """The bucket, by service and name: the URL tells accounts and namespaces apart where names are not unique without them, and
    one service can be connected by two kinds."""
    url = urlsplit(place.service.lower())
    port = url.port or {"http": 80}.get(url.scheme, 443)
    return f"{url.hostname}:{port}{url.path.rstrip('/')}", place.bucket
