"""From the link on a command line to what it leads to: by the DataStores of a cluster, or by the environment."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from msgspec import structs

from datums.cli.cluster import MISUSED, Problem, add_arguments, ask
from datums.cli.environment import Found, Where, from_environment, read
from datums.model import links
from datums.model.links import DatumLink, Link, LinkError, WebLink
from datums.model.plan import ExecutionRef, OutputPlan, Plan

if TYPE_CHECKING:
    from datums.api.datum import Datum
    from datums.control.kube import Kube

HELP = """\
Links:
  datum://<id>[/<path or glob>]   a file that an execution saved; of a bundle all files, one, or some
  store://<datastore>[@<namespace>]/<key or glob>
  s3://<bucket>/<…>   gs://<bucket>/<…>   azure://<account>/<container>/<…>
  swift://<project>/<container>/<…>   oci://<bucket>@<namespace>/<…>   https://<host>/<path>
  Globs: `*` within one level, `**` across levels. Files in packs are found under their own keys.
  `#sha256=<digest>` behind a link pins it: other bytes are an error.

Which credentials:
  Those of the DataStore that has the bucket, among those that the namespace may use, read with your own rights. Without
  a cluster (--no-cluster, --anonymous, or where there is no kubeconfig) the variables of the provider's own tools:
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL (s3, swift, oci);
  GOOGLE_APPLICATION_CREDENTIALS (gs); AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID
  and AZURE_CLIENT_SECRET (azure).
"""


def add_link_arguments(parser: argparse.ArgumentParser) -> None:
    """The link, and how it is reached."""
    parser.add_argument("link", metavar="LINK")
    add_arguments(parser)
    group = parser.add_argument_group("without a cluster")
    group.add_argument("--no-cluster", action="store_true", help="credentials come from the environment")
    group.add_argument("--anonymous", action="store_true", help="no credentials at all: for what is public")
    group.add_argument("--endpoint", default="", metavar="URL", help="of the service; the provider's own by default")
    group.add_argument("--region", default="", help="of the bucket")
    group.add_argument("--ca-bundle", default="", metavar="FILE", help="certificate authorities (PEM) to trust for the service")
    group.add_argument("--prefix", default="datums", help="where Datums writes in the bucket; datums by default")


def find(given: argparse.Namespace) -> Found:
    """What the link leads to.

    Raises:
        Problem: that cannot be told.
    """
    try:
        link = links.parse(given.link)
    except LinkError as error:
        raise Problem(str(error), MISUSED) from None
    if given.no_cluster or given.anonymous or _needs_no_cluster(link) or not _has_cluster(given):
        ca_bundle = read(given.ca_bundle, "--ca-bundle") if given.ca_bundle else ""
        where = Where(given.endpoint, given.region, given.prefix.strip("/"), ca_bundle, given.anonymous)
        return from_environment(given.link, link, os.environ, where)
    return ask(given, lambda kube, namespace: _from_cluster(kube, namespace, given.link, link))


def _needs_no_cluster(link: Link) -> bool:
    return isinstance(link, WebLink) and link.azure is None


def _has_cluster(given: argparse.Namespace) -> bool:
    if given.kubeconfig or given.context or os.environ.get("KUBECONFIG") or os.environ.get("KUBERNETES_SERVICE_HOST"):
        return True
    return Path("~/.kube/config").expanduser().exists()


async def _from_cluster(kube: Kube, namespace: str, text: str, link: Link) -> Found:
    from datums.control.executions.errors import NotStartable  # noqa: PLC0415  not every command needs the operator's packages
    from datums.control.executions.resolve import Surroundings, resolve_link  # noqa: PLC0415
    from datums.control.kube import NAMESPACES, Forbidden, NotFound  # noqa: PLC0415
    from datums.control.store_access import StoreChoiceError  # noqa: PLC0415
    from datums.control.store_credentials import StoreSetupError  # noqa: PLC0415
    from datums.control.store_places import neighbours  # noqa: PLC0415
    from datums.control.store_reader import read_access  # noqa: PLC0415

    stores = await _stores(kube, namespace)
    try:
        labels = (await kube.get(NAMESPACES, None, namespace, metadata_only=True))["metadata"].get("labels") or {}
    except (Forbidden, NotFound):
        labels = {}
    datums, sets = await _datums(kube, namespace, link)
    around = Surroundings(namespace_labels=labels, stores=stores, datums=datums, sets=sets)
    try:
        resolution = resolve_link(text, link, namespace, around)
    except (NotStartable, StoreChoiceError) as error:
        raise Problem(f"{text}: {error} ({error.reason})".replace(f"{text}: link {text}: ", f"{text}: ")) from None
    access, credentials = {}, {}
    for name, store in resolution.stores.items():
        try:
            opened = await read_access(kube, store)
        except StoreSetupError as error:
            raise Problem(f"{error} ({error.reason})") from None
        except Forbidden as error:
            raise Problem(f"you may not read the credentials of DataStore {name}: {error}") from None
        access[name] = structs.replace(opened.access, neighbours=neighbours(store, stores))
        credentials[name] = opened.credentials
    plan = Plan(execution=ExecutionRef(namespace=namespace, name="", uid="", attempt=0), stores=access, output=OutputPlan(store=""))
    return Found(plan, resolution.inputs[0].sources[0], credentials)


async def _stores(kube: Kube, namespace: str) -> list[dict[str, Any]]:
    """All DataStores, or those of the namespace for somebody who may not see the others."""
    from datums.control.kube import DATASTORES, Forbidden  # noqa: PLC0415

    try:
        return await kube.list(DATASTORES)
    except Forbidden:
        return await kube.list(DATASTORES, namespace)


async def _datums(kube: Kube, namespace: str, link: Link) -> tuple[dict[UUID, Datum | None], dict[str, Datum | None]]:
    from datums.api.datum import Datum  # noqa: PLC0415
    from datums.api.names import LABEL_SET  # noqa: PLC0415
    from datums.control.kube import DATUMS, NotFound  # noqa: PLC0415
    from datums.model.ids import set_of_datum  # noqa: PLC0415

    if not isinstance(link, DatumLink) or link.namespace not in ("", namespace):
        return {}, {}
    try:
        return {link.datum: msgspec.convert(await kube.get(DATUMS, namespace, str(link.datum)), Datum)}, {}
    except NotFound:
        of = set_of_datum(link.datum)
        members = await kube.list(DATUMS, namespace, label_selector=f"{LABEL_SET}={of}")
        return {link.datum: None}, {of: msgspec.convert(members[0], Datum) if members else None}
