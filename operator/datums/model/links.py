"""Links: what an input names.

    datum://<uuid>[/<path or glob>]      one file for good; below a bundle's id, one or several of its files
    s3://<bucket>/<key or glob>          Amazon S3, and what speaks its protocol
    gs://<bucket>/<key or glob>          Google Cloud Storage
    azure://<account>/<container>/<…>    Azure Blob Storage; also https://<account>.blob.core.windows.net/<container>/<…>
    swift://<project>/<container>/<…>    OVH Object Storage
    oci://<bucket>@<namespace>/<…>       Oracle Object Storage
    store://<datastore>[@<namespace>]/<key or glob>
    https://… http://…                   a public file

A fragment pins a link to bytes: `#sha256=<64 hex>` one file, `#tree-sha256=<64 hex>` a set of files (see `TreeDigest`).
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeAlias
from urllib.parse import unquote
from uuid import UUID

import msgspec

from datums.model.ids import is_bundle, parse_datum_id
from datums.model.places import ROOT_FORMS


class LinkError(ValueError):
    """A link that nothing can be read from. The message says what is wrong and what is right."""


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The digest that a pinned link promises; at most one of the two."""

    sha256: str = ""
    tree_sha256: str = ""


NO_PIN = Pin()


class DatumLink(msgspec.Struct, frozen=True, tag="datum"):
    """`datum://<uuid>[/<path or glob>]`, perhaps of another project."""

    datum: UUID
    path: str = ""
    namespace: str = ""
    pin: Pin = NO_PIN


class BucketLink(msgspec.Struct, frozen=True, tag="bucket"):
    """Objects by their provider's own address."""

    root: str
    """As `places.root_of` gives it, such as `s3://<bucket>` or `azure://<account>/<container>`."""
    pattern: str
    pin: Pin = NO_PIN


class StoreLink(msgspec.Struct, frozen=True, tag="store"):
    """`store://<datastore>[@<namespace>]/<key or glob>`; an empty namespace is the execution's own, or the one that shares."""

    store: str
    pattern: str
    namespace: str = ""
    pin: Pin = NO_PIN


class WebLink(msgspec.Struct, frozen=True, tag="web"):
    """`https://…` or `http://…`, the URL without the pinning fragment."""

    url: str
    azure: BucketLink | None = None
    """The same object as a link of Azure, where the URL is one of Azure's: it is read through a DataStore where there is one."""
    pin: Pin = NO_PIN


Link: TypeAlias = DatumLink | BucketLink | StoreLink | WebLink

SCHEMES = ("datum://", "s3://", "gs://", "azure://", "swift://", "oci://", "store://", "https://", "http://")
_AZURE = re.compile(r"https?://([a-z0-9]{3,24})\.blob\.[a-z0-9.]+/([^/?#]+)/([^?#]+)")
_PIN = re.compile(r"#(tree-)?sha256=([0-9a-f]{64})$")


def parse(link: str) -> Link:
    """The link, taken apart.

    Raises:
        LinkError: the scheme is unknown or a part is missing or malformed.
    """
    bare, pin = _split_pin(link)
    scheme, _, rest = bare.partition("://")
    if scheme in ("https", "http"):
        if not rest.split("/", 1)[0]:
            raise LinkError(f"{link!r} names no host: write https://<host>/<path>")
        return WebLink(url=bare, azure=_azure(bare, pin), pin=pin)
    head, _, tail = rest.partition("/")
    if scheme == "datum":
        return _datum(link, head, tail, pin)
    if scheme in ROOT_FORMS:
        return _bucket(link, scheme, rest, pin)
    if scheme == "store":
        name, _, namespace = head.partition("@")
        if not name or not tail:
            raise LinkError(f"{link!r} needs a DataStore and a key: write store://<datastore>/<key or glob>")
        return StoreLink(store=name, namespace=namespace, pattern=tail, pin=pin)
    raise LinkError(f"{link!r} has no scheme that Datums reads: use one of {' '.join(SCHEMES)}")


def pinned(link: str, pin: Pin) -> str:
    """The link in its pinned form."""
    bare, _ = _split_pin(link)
    if pin.sha256:
        return f"{bare}#sha256={pin.sha256}"
    return f"{bare}#tree-sha256={pin.tree_sha256}" if pin.tree_sha256 else bare


class TreeDigest:
    """The digest of a set of files: SHA-256 of the lines `<sha256>  <path>\\n` sorted by path (as `sha256sum` prints them)."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, path: str, sha256: str) -> None:
        """Takes the next file in the order of paths (in the input)."""
        self._digest.update(f"{sha256}  {path}\n".encode("utf-8", "surrogateescape"))

    def hexdigest(self) -> str:
        """The digest of what was added."""
        return self._digest.hexdigest()


def _datum(link: str, head: str, path: str, pin: Pin) -> DatumLink:
    name, _, namespace = head.partition("@")
    datum = parse_datum_id(name)
    if datum is None:
        raise LinkError(f"{link!r} names no datum id: write datum://<uuid>, as `kubectl get datums` lists them")
    if path and not is_bundle(datum):
        raise LinkError(f"{link!r} names a path below a single file: leave the path out, or use the bundle's id")
    return DatumLink(datum=datum, namespace=namespace, path=path, pin=pin)


def _bucket(link: str, scheme: str, rest: str, pin: Pin) -> BucketLink:
    form = ROOT_FORMS[scheme]
    levels = form.count("/") - 1
    *root, pattern = [*rest.split("/", levels), ""][: levels + 1]
    if not pattern or not all(root) or ("@" in form and not all(root[0].partition("@"))):
        raise LinkError(f"{link!r} is not complete: write {form}/<key or glob>")
    return BucketLink(root=f"{scheme}://{'/'.join(root)}", pattern=pattern, pin=pin)


def _azure(url: str, pin: Pin) -> BucketLink | None:
    match = _AZURE.fullmatch(url)
    return match and BucketLink(root=f"azure://{match[1]}/{match[2]}", pattern=unquote(match[3]), pin=pin)


def _split_pin(link: str) -> tuple[str, Pin]:
    match = _PIN.search(link)
    if match is None:
        return link, NO_PIN
    tree, digest = match.groups()
    return link[: match.start()], Pin(tree_sha256=digest) if tree else Pin(sha256=digest)
