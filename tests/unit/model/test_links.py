"""The link grammar."""

from uuid import UUID

import pytest

from datums.model import links
from datums.model.links import BucketLink, DatumLink, LinkError, Pin, StoreLink, WebLink

FILE = "cdcd5a3d-0ed4-8b77-8c32-a8a4a3b6f3a2"
BUNDLE = "cdcd5a3d-0ed4-8b77-8000-000000000000"
SHA = "9f" * 32


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"datum://{FILE}", DatumLink(UUID(FILE))),
        (f"datum://{FILE}@churn", DatumLink(UUID(FILE), namespace="churn")),
        (f"datum://{BUNDLE}/a/*.csv", DatumLink(UUID(BUNDLE), path="a/*.csv")),
        ("s3://acme/raw/img/**", BucketLink("s3://acme", "raw/img/**")),
        ("s3://acme/a b/ü#1?.csv", BucketLink("s3://acme", "a b/ü#1?.csv")),
        (f"s3://acme/k#sha256={SHA}", BucketLink("s3://acme", "k", Pin(sha256=SHA))),
        (f"s3://acme/*#tree-sha256={SHA}", BucketLink("s3://acme", "*", Pin(tree_sha256=SHA))),
        ("gs://acme/a/**", BucketLink("gs://acme", "a/**")),
        ("azure://acct/images/a/b.png", BucketLink("azure://acct/images", "a/b.png")),
        ("swift://project/images/a", BucketLink("swift://project/images", "a")),
        ("oci://images@space/a@b/c", BucketLink("oci://images@space", "a@b/c")),
        ("store://ml/a/b", StoreLink("ml", "a/b")),
        ("store://ml@platform/a", StoreLink("ml", "a", namespace="platform")),
        ("https://example.com/x.tar?v=1", WebLink("https://example.com/x.tar?v=1")),
        ("http://example.com", WebLink("http://example.com")),
        (
            "https://acct.blob.core.windows.net/images/a%20b.png",
            WebLink("https://acct.blob.core.windows.net/images/a%20b.png", BucketLink("azure://acct/images", "a b.png")),
        ),
        (
            "https://acct.blob.core.windows.net/images/a?sig=x",
            WebLink("https://acct.blob.core.windows.net/images/a?sig=x"),
        ),
    ],
)
def test_links(text: str, link: links.Link) -> None:
    assert links.parse(text) == link


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://x/y", "use one of datum:// s3:// gs:// azure:// swift:// oci:// store:// https:// http://"),
        ("model.pkl", "has no scheme"),
        ("datum://latest", "names no datum id"),
        (f"datum://{FILE}/a", "below a single file"),
        ("s3://bucket", "write s3://<bucket>/<key or glob>"),
        ("s3:///key", "write s3://<bucket>/<key or glob>"),
        ("azure://acct/key", "write azure://<account>/<container>/<key or glob>"),
        ("azure:///c/key", "is not complete"),
        ("oci://bucket/key", "write oci://<bucket>@<namespace>/<key or glob>"),
        ("oci://@space/key", "is not complete"),
        ("store://ml", "needs a DataStore and a key"),
        ("store://@ns/key", "needs a DataStore and a key"),
        ("https:///x", "names no host"),
    ],
)
def test_a_wrong_link_is_told_what_is_right(text: str, says: str) -> None:
    with pytest.raises(LinkError, match=says.replace("(", r"\(")):
        links.parse(text)


@pytest.mark.parametrize("link", ["s3://b/k", "s3://b/k#x", f"s3://b/k#sha256={'00' * 32}"])
def test_a_pinned_link_reads_back_as_the_pin(link: str) -> None:
    text = links.pinned(link, Pin(sha256=SHA))
    parsed = links.parse(text)
    assert parsed.pin == Pin(sha256=SHA)
    assert links.pinned(text, Pin(sha256=SHA)) == text


def test_the_tree_digest_is_that_of_sha256sums_output() -> None:
    digest = links.TreeDigest()
    digest.add("a", "1" * 64)
    digest.add("b", "2" * 64)
    # `printf '%s  a\n%s  b\n' 1… 2… | sha256sum`
    assert digest.hexdigest() == "7365ea48c8a3989cf164ca67f5d934c9a11269a628308b0fe529b6e4bc1c694d"
