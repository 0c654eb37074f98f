"""Listing a container of Azure's."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from datums.stores.azure_requests import AzureRequests
from datums.stores.protocol import ObjectInfo

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_PAGE: Final = "1000"  # Azure gives up to 5,000, each with up to 8 KiB of metadata
_DIRECTORY: Final = "hdi_isfolder"


def page(requests: AzureRequests, prefix: str, marker: str) -> tuple[list[ObjectInfo], str]:
    """Some objects whose keys begin with `prefix`, and what leads to those that follow; `""` at the end."""
    query = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": _PAGE}
    query |= {name: value for name, value in (("prefix", prefix), ("marker", marker)) if value}
    reply = requests.send("GET", "", query, "list", about=prefix)
    root = requests.read_xml(reply, "EnumerationResults", prefix, "list")
    return [_info(blob) for blob in root.iterfind("Blobs/Blob")], root.findtext("NextMarker") or ""


def _info(blob: Element) -> ObjectInfo:
    name, properties = blob.find("Name"), {each.tag: each.text or "" for each in blob.iterfind("Properties/*")}
    key = "" if name is None else name.text or ""
    if name is not None and name.get("Encoded") == "true":  # what XML cannot have
        key = unquote(key)
    size, modified, etag = (
        int(properties.get("Content-Length") or 0),
        properties.get("Last-Modified", ""),
        properties.get("Etag", ""),
    )
    # An account with a hierarchical namespace lists its directories, by a name without a slash, beside what is in them.
    is_directory = not size and blob.findtext(f"Metadata/{_DIRECTORY}") == "true"
    return ObjectInfo(
        key=f"{key}/" if is_directory else key,
        size=size,
        etag=f'"{etag}"' if etag and not etag.startswith('"') else etag,  # the list leaves out the quotes
        last_modified=parsedate_to_datetime(modified).timestamp() if modified else 0.0,
        version=blob.findtext("VersionId") or "",
    )
