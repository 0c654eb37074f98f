"""Links without a cluster: the store by the link itself, the credentials by the variables of the provider's own tools. Pure but for
the key file that one of them names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from datums.cli.cluster import MISUSED, Problem
from datums.model import layout
from datums.model.links import BucketLink, Link, WebLink
from datums.model.places import Kind
from datums.model.plan import ExecutionRef, ObjectsSource, OutputPlan, Plan, Source, StoreAccess, WebSource

_KINDS: Final[dict[str, Kind]] = {"s3": "s3", "gs": "gcs", "azure": "azure", "swift": "ovh", "oci": "oracle"}
_STORE: Final = "environment/credentials"
"""The name of the store in messages, which call a store `<namespace>/<name>`."""
_AWS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AZURE: Final = (
    ("AZURE_STORAGE_KEY",),
    ("AZURE_STORAGE_SAS_TOKEN",),
    ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
)


class Where(NamedTuple):
    """What the command line says of the service."""

    endpoint: str = ""
    region: str = ""
    prefix: str = "datums"
    ca_bundle: str = ""
    """PEM."""
    anonymous: bool = False


class Found(NamedTuple):
    """What a link leads to, and how it is reached."""

    plan: Plan
    """With one source, for whoever reads `inputs` to wrap it up."""
    source: Source
    credentials: Mapping[str, Mapping[str, str]]
    """By the stores' names."""


def from_environment(text: str, link: Link, environment: Mapping[str, str], where: Where) -> Found:
    """What a link leads to.

    Raises:
        Problem: it needs a cluster, or credentials that are not there.
    """
    match link:
        case WebLink(url=url, pin=pin):
            return Found(_plan({}, "-"), WebSource(link=text, url=url, pin=pin), {})
        case BucketLink():
            access = _access(link, environment, where)
            source = ObjectsSource(link=text, store=_STORE, pattern=link.pattern, pin=link.pin)
            credentials = {} if where.anonymous else _credentials(access, environment)
            return Found(_plan({_STORE: access}, _project(link.pattern, where.prefix)), source, {_STORE: credentials})
    raise Problem(
        f"{text} is a name in a cluster: leave --no-cluster and --anonymous out, and set KUBECONFIG or --kubeconfig", MISUSED
    )


def _access(link: BucketLink, environment: Mapping[str, str], where: Where) -> StoreAccess:
    scheme, _, rest = link.root.partition("://")
    kind = _KINDS[scheme]
    account, bucket = "", rest
    if kind in ("azure", "ovh"):
        account, _, bucket = rest.partition("/")
    elif kind == "oracle":
        bucket, _, account = rest.partition("@")
    region, endpoint = where.region, where.endpoint
    if kind in ("s3", "ovh", "oracle"):
        region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
        endpoint = endpoint or environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or ""
        if not region and not endpoint and kind != "s3":
            raise Problem(
                f"{link.root}: the address of its service has the region in it: give --region, or set AWS_REGION", MISUSED
            )
    elif kind == "gcs":
        endpoint = endpoint or environment.get("STORAGE_EMULATOR_HOST", "")
    return StoreAccess(
        kind=kind,
        name=_STORE,
        bucket=bucket,
        account=account,
        prefix=where.prefix,
        region=region,
        endpoint=endpoint,
        force_path_style=bool(endpoint) or kind != "s3",
        ca_bundle=where.ca_bundle,
        anonymous=where.anonymous,
        # Whose credentials they are, may see what they open.
        readable=[""],
    )


def _credentials(access: StoreAccess, environment: Mapping[str, str]) -> dict[str, str]:
    match access.kind:
        case "s3" | "ovh" | "oracle":
            if all(environment.get(name) for name in _AWS):
                return _taken(environment, *_AWS, "AWS_SESSION_TOKEN")
            missing = " and ".join(_AWS)
        case "gcs":
            if path := environment.get("GOOGLE_APPLICATION_CREDENTIALS"):
                return {"service-account.json": read(path, "GOOGLE_APPLICATION_CREDENTIALS")}
            missing = "GOOGLE_APPLICATION_CREDENTIALS, to the key file of a service account,"
        case "azure":
            for way in _AZURE:
                if all(environment.get(name) for name in way):
                    return _taken(environment, *way, *(["AZURE_AUTHORITY_HOST"] if len(way) > 1 else []))
            missing = "AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET,"
    raise Problem(f"no credentials for {access.kind}: set {missing} or give --anonymous for what is public")


def _taken(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := environment.get(name))}


def read(path: str, what: str) -> str:
    """The text of a file.

    Raises:
        Problem: it cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise Problem(f"{what}: {path} cannot be read: {why}", MISUSED) from None


def _project(pattern: str, prefix: str) -> str:
    """The project whose files are asked for: `fetch` reads those of one only, as in an execution."""
    found = re.match(rf"{re.escape(layout.projects_prefix(prefix))}([^/*?]+)/", pattern)
    return found[1] if found else "-"


def _plan(stores: dict[str, StoreAccess], namespace: str) -> Plan:
    return Plan(execution=ExecutionRef(namespace=namespace, name="", uid="", attempt=0), stores=stores, output=OutputPlan(store=""))
