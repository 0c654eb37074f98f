"""Where an object store is: the links that name its objects, and the address of its service. Pure."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["s3", "gcs", "azure", "ovh", "oracle"]

ROOT_FORMS: Final = {
    "s3": "s3://<bucket>",
    "gs": "gs://<bucket>",
    "azure": "azure://<account>/<container>",
    "swift": "swift://<project>/<container>",
    "oci": "oci://<bucket>@<namespace>",
}
"""Scheme → how a link of it begins, before the key."""


def root_of(kind: Kind, bucket: str, account: str = "") -> str:
    """The link of a store's bucket, without a slash at its end.

    Args:
        bucket: the bucket, or the container.
        account: the storage account of Azure, the project of OVH, the namespace of Oracle.
    """
    match kind:
        case "s3":
            return f"s3://{bucket}"
        case "gcs":
            return f"gs://{bucket}"
        case "azure":
            return f"azure://{account}/{bucket}"
        case "ovh":
            return f"swift://{account}/{bucket}"
        case "oracle":
            return f"oci://{bucket}@{account}"


def service_url(kind: Kind, *, endpoint: str = "", region: str = "", account: str = "") -> str:
    """The URL of the service, without a slash at its end.

    Args:
        endpoint: what the DataStore says; wins over the provider's own.
        region: of the bucket; only S3 has a default (us-east-1).
        account: as for `root_of`.
    """
    if endpoint:
        return endpoint.rstrip("/")
    match kind:
        case "s3":
            return f"https://s3.{region or 'us-east-1'}.amazonaws.com"
        case "gcs":
            return "https://storage.googleapis.com"
        case "azure":
            return f"https://{account}.blob.core.windows.net"
        case "ovh":
            return f"https://s3.{region}.io.cloud.ovh.net"
        case "oracle":
            return f"https://{account}.compat.objectstorage.{region}.oraclecloud.com"
