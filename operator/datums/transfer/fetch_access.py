"""What an execution may read by a raw link. Pure."""

from __future__ import annotations

import re

from datums.api.reasons import Failed
from datums.model import layout
from datums.model.places import root_of
from datums.model.plan import StoreAccess
from datums.transfer.fetch_errors import FetchError

# Some services take a backslash for a slash, and go up at `..`: then the prefix would not say where the key leads.
_UPWARDS = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)")


def _goes_up(key: str) -> bool:
    return ".." in key and _UPWARDS.search(key) is not None


def uri(access: StoreAccess, key: str) -> str:
    """A key, or the beginning of keys, as a link of its provider."""
    return f"{root_of(access.kind, access.bucket, access.account)}/{key}"


def check_readable(access: StoreAccess, namespace: str, key: str, where: str) -> None:
    """Lets pass a key of the project's own, and one below `readable`; never one that Datums wrote for another project.

    Args:
        namespace: the execution's.
        key: the object's key, or the part of a glob before its first wildcard.
        where: names the input and the link, for the message.

    Raises:
        FetchError: NotShared or AccessDenied.
    """
    if key.startswith(layout.project_prefix(access.prefix, namespace)) and not _goes_up(key):
        return
    for prefix in (access.prefix, *access.neighbours):
        projects = layout.projects_prefix(prefix)
        below = layout.leads_into(key, projects)
        if below is not None and (_goes_up(key) or not below.startswith(f"{namespace}/")):
            raise FetchError(
                Failed.NOT_SHARED,
                f"{where}: this reaches below {uri(access, projects)}, into what Datums saved for another project: narrow the link",
            )
    if not _goes_up(key) and any(key.startswith(prefix) for prefix in access.readable):
        return
    allowed = ", ".join(repr(prefix) for prefix in access.readable) or "nothing"
    raise FetchError(
        Failed.ACCESS_DENIED,
        f"{where}: {uri(access, key)} is not below what spec.readable of DataStore {access.name} opens ({allowed}): narrow "
        "the link, or ask the store's owner to add the prefix",
    )


def check_own(access: StoreAccess, namespace: str, key: str, where: str) -> None:
    """Lets pass what Datums wrote for the project. A Datum is an object that people may write, and a manifest a file that any
    command may save: neither opens what the project could not read without it.

    Raises:
        FetchError: NotShared.
    """
    if key.startswith(layout.project_prefix(access.prefix, namespace)) and not _goes_up(key):
        return
    raise FetchError(
        Failed.NOT_SHARED,
        f"{where}: its bytes are said to lie at {uri(access, key)}, which is not what Datums saved for namespace "
        f"{namespace}: use the datum that an execution of this namespace made",
    )


def may_match_readable(access: StoreAccess, namespace: str, fixed: str) -> bool:
    """Whether a glob with this fixed part can match a key that may be read; if not, listing is not worth a request."""
    readable = [layout.project_prefix(access.prefix, namespace), *access.readable]
    return any(fixed.startswith(prefix) or prefix.startswith(fixed) for prefix in readable)
