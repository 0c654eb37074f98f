"""The blocks of a DataStore that is an object store: one for each provider."""

from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta, field

from datums.api.markers import Rule, cel, exactly_one
from datums.api.meta import Part
from datums.api.pod import KeyReference

_BUCKET_RULE = Rule(
    "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$')",
    "bucket must be the bare name of a bucket: letters, digits, '.', '_' and '-'; a path belongs in prefix",
)
_GCS_BUCKET_RULE = Rule(
    "self.matches('^[a-z0-9][a-z0-9._-]*[a-z0-9]$')",
    "bucket must be the bare name of a bucket: lower-case letters, digits, '.', '_' and '-'; a path belongs in prefix",
)
_ACCOUNT_RULE = Rule(
    "self.matches('^[a-z0-9]{3,24}$')",
    "account must be the bare name of a storage account: 3 to 24 lower-case letters and digits; a URL belongs in endpoint",
)
_AZURE_CONTAINER_RULE = Rule(
    "self.matches('^[a-z0-9](-?[a-z0-9])*$')",
    "container must be the bare name of a container: lower-case letters, digits and single '-'; a path belongs in prefix",
)
_PROJECT_RULE = Rule("self.matches('^[A-Za-z0-9._-]+$')", "project must be a project's id: letters, digits, '.', '_' and '-'")
_CONTAINER_RULE = Rule(
    "self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$')",
    "container must be the bare name of a container: letters, digits, '.', '_' and '-'; a path belongs in prefix",
)
_NAMESPACE_RULE = Rule(
    "self.matches('^[A-Za-z0-9_-]+$')", "namespace must be the tenancy's Object Storage namespace: letters, digits, '_' and '-'"
)
_REGION_RULE = Rule("self.matches('^[a-z0-9-]+$')", "region must be the short name of a region: lower-case letters, digits and '-'")
_PREFIX_RULE = Rule(
    "!self.startsWith('/') && !self.endsWith('/') && !self.contains('//')",
    "prefix must not begin or end with '/' nor contain '//'",
)
_URL = "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '' && !self.contains('@')"
_PROXY_RULE = Rule(
    f"{_URL} && url(self).getEscapedPath() in ['', '/']",
    "proxyURL must be the URL of an HTTP proxy without a path, user name or password, such as http://proxy.example.com:3128",
)


def _endpoint(service: str, example: str) -> Rule:
    return Rule(
        f"{_URL} && url(self).getEscapedPath() in ['', '/']",
        f"endpoint must be the URL of {service} without a path, such as {example}",
    )


_S3_ENDPOINT = _endpoint("an S3 service", "https://s3.example.com:9000")
_GCS_ENDPOINT = _endpoint("a Cloud Storage service", "https://storage.googleapis.com")
_AZURE_ENDPOINT = Rule(
    f"{_URL} && self.matches('^https?://[^/?#]+(/[a-z0-9]*/?)?$')",
    "endpoint must be the URL of a Blob service, such as https://acme.blob.core.windows.net, or with the account as its path",
)

Prefix = Annotated[str, Meta(min_length=1, max_length=512, extra_json_schema=cel(_PREFIX_RULE))]
Bucket = Annotated[str, Meta(min_length=3, max_length=255, extra_json_schema=cel(_BUCKET_RULE))]
Container = Annotated[str, Meta(min_length=3, max_length=255, extra_json_schema=cel(_CONTAINER_RULE))]
Region = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=cel(_REGION_RULE))]
S3Endpoint = Annotated[str, Meta(max_length=2048, extra_json_schema=cel(_S3_ENDPOINT))]
ProxyURL = Annotated[str, Meta(max_length=2048, extra_json_schema=cel(_PROXY_RULE))]


class CABundle(Part, frozen=True):
    """Certificate authorities, PEM, in a ConfigMap or a Secret of the DataStore's namespace."""

    config_map_key_ref: KeyReference | None = None
    """One key of a ConfigMap."""
    secret_key_ref: KeyReference | None = None
    """One key of a Secret."""

    rules: ClassVar = (exactly_one("configMapKeyRef", "secretKeyRef"),)


class S3(Part, frozen=True, kw_only=True):
    """A bucket of Amazon S3 or of any service that speaks its protocol."""

    bucket: Bucket
    """Name of the bucket, which must exist."""
    prefix: Prefix = "datums"
    """Where Datums writes in the bucket; nothing outside it is ever written or removed."""
    region: Annotated[str, Meta(min_length=1, max_length=64)] = "us-east-1"
    """Region of the bucket; services other than Amazon's mostly take any."""
    endpoint: S3Endpoint | None = None
    """URL of the service, such as `https://s3.example.com:9000`; Amazon's own of the region when unset."""
    force_path_style: bool = False
    """Address the bucket as `endpoint/bucket` instead of `bucket.endpoint`; most services other than Amazon's need it."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""
    proxy_url: ProxyURL | None = field(name="proxyURL", default=None)
    """HTTP proxy for all requests to the service, such as `http://proxy.example.com:3128`; none when unset."""


class GCS(Part, frozen=True, kw_only=True):
    """A bucket of Google Cloud Storage."""

    bucket: Annotated[str, Meta(min_length=3, max_length=222, extra_json_schema=cel(_GCS_BUCKET_RULE))]
    """Name of the bucket, which must exist."""
    prefix: Prefix = "datums"
    """Where Datums writes in the bucket; nothing outside it is ever written or removed."""
    endpoint: Annotated[str, Meta(max_length=2048, extra_json_schema=cel(_GCS_ENDPOINT))] | None = None
    """URL of the service, such as a private endpoint; `https://storage.googleapis.com` when unset."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""
    proxy_url: ProxyURL | None = field(name="proxyURL", default=None)
    """HTTP proxy for all requests to the service, such as `http://proxy.example.com:3128`; none when unset."""


class Azure(Part, frozen=True, kw_only=True):
    """A container of Azure Blob Storage."""

    account: Annotated[str, Meta(min_length=3, max_length=24, extra_json_schema=cel(_ACCOUNT_RULE))]
    """Name of the storage account."""
    container: Annotated[str, Meta(min_length=3, max_length=63, extra_json_schema=cel(_AZURE_CONTAINER_RULE))]
    """Name of the container, which must exist."""
    prefix: Prefix = "datums"
    """Where Datums writes in the container; nothing outside it is ever written or removed."""
    endpoint: Annotated[str, Meta(max_length=2048, extra_json_schema=cel(_AZURE_ENDPOINT))] | None = None
    """URL of the account's Blob service, such as a private endpoint or one of another cloud;
    `https://<account>.blob.core.windows.net` when unset."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""
    proxy_url: ProxyURL | None = field(name="proxyURL", default=None)
    """HTTP proxy for all requests to the service, such as `http://proxy.example.com:3128`; none when unset."""


class OVH(Part, frozen=True, kw_only=True):
    """A container of OVHcloud Object Storage, reached by its S3 protocol."""

    project: Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=cel(_PROJECT_RULE))]
    """Id of the Public Cloud project; it stands in `swift://` links."""
    container: Container
    """Name of the container, which must exist."""
    prefix: Prefix = "datums"
    """Where Datums writes in the container; nothing outside it is ever written or removed."""
    region: Region
    """Region of the container, such as `gra` or `eu-west-par`."""
    endpoint: S3Endpoint | None = None
    """URL of the service; `https://s3.<region>.io.cloud.ovh.net` when unset."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""
    proxy_url: ProxyURL | None = field(name="proxyURL", default=None)
    """HTTP proxy for all requests to the service, such as `http://proxy.example.com:3128`; none when unset."""


class Oracle(Part, frozen=True, kw_only=True):
    """A bucket of Oracle Cloud Infrastructure Object Storage, reached by its S3 protocol."""

    namespace: Annotated[str, Meta(min_length=1, max_length=63, extra_json_schema=cel(_NAMESPACE_RULE))]
    """The tenancy's Object Storage namespace."""
    bucket: Bucket
    """Name of the bucket, which must exist."""
    prefix: Prefix = "datums"
    """Where Datums writes in the bucket; nothing outside it is ever written or removed."""
    region: Region
    """Region of the bucket, such as `eu-frankfurt-1`."""
    endpoint: S3Endpoint | None = None
    """URL of the service; `https://<namespace>.compat.objectstorage.<region>.oraclecloud.com` when unset."""
    ca_bundle: CABundle | None = None
    """Certificate authorities to trust for the endpoint besides the public ones."""
    proxy_url: ProxyURL | None = field(name="proxyURL", default=None)
    """HTTP proxy for all requests to the service, such as `http://proxy.example.com:3128`; none when unset."""


Block: TypeAlias = S3 | GCS | Azure | OVH | Oracle
