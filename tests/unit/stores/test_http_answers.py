"""What the drivers of Google and Azure make of answers that no emulator gives when it is asked to."""

from __future__ import annotations

import base64
from typing import Literal

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors, open_store
from datums.stores.gcs import GCSStore
from datums.stores.gcs_requests import GCSRequests
from datums.stores.protocol import Store
from tests.unit.stores.saved import Saved
from tests.unit.stores.scripted import NO_LENGTH, Asked, Say, Scripted, serving

KEY = {
    "AZURE_STORAGE_KEY": base64.b64encode(b"key").decode(),
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
PAGE = Say(200, b"<html><body>Welcome</body></html>")
TAG = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


def store_at(script: Scripted, kind: Literal["s3", "gcs", "azure"], *, anonymous: bool = False) -> Store:
    access = StoreAccess(
        kind=kind, name="a/b", bucket="raw", account="acme", prefix="d", endpoint=script.url, anonymous=anonymous,
        region="here" if kind == "s3" else "", force_path_style=kind == "s3",
    )  # fmt: skip
    return open_store(access, {} if anonymous else KEY)


def test_a_write_that_is_refused_for_another_reason_is_not_taken() -> None:
    lease = Say(412, b"<Error><Code>LeaseIdMissing</Code><Message>There is a lease.</Message></Error>")
    other = Say(412, b"<Error><Code>ConditionNotMet</Code></Error>")
    for answer, kind in ((lease, errors.AccessDenied), (other, errors.Changed)):
        with serving(answer) as script, pytest.raises(errors.StoreError) as caught:
            store_at(script, "azure").put("x", b"1")
        assert type(caught.value) is kind


def test_a_taken_key_is_told_by_either_code() -> None:
    for answer in (
        Say(409, b"<Error><Code>BlobAlreadyExists</Code></Error>"),
        Say(412, b"<Error><Code>ConditionNotMet</Code></Error>"),
    ):
        with serving(answer) as script, pytest.raises(errors.AlreadyExists):
            store_at(script, "azure").put("x", b"1", if_absent=True)


def test_a_page_of_something_on_the_way_has_written_nothing() -> None:
    with serving(PAGE) as script:
        store = store_at(script, "azure")
        for call in (
            lambda: store.put("x", b"1"),
            lambda: store.put_part("x", "upload", 1, b"1", offset=0, size=1),
            lambda: store.finish_upload("x", "upload", ["upload-000001"]),
        ):
            with pytest.raises(errors.EndpointUnreachable, match="does not answer as Azure Blob Storage does"):
                call()


def test_an_object_whose_length_is_not_told_has_none() -> None:
    silent = Say(200, b"", TAG, length=NO_LENGTH)
    with serving(silent) as script, pytest.raises(errors.EndpointUnreachable, match="without a length"):
        store_at(script, "azure").head("x")


def test_an_object_of_metadata_alone_is_listed_by_its_encoded_name() -> None:
    page = """<?xml version="1.0"?><EnumerationResults ServiceEndpoint="https://x/" ContainerName="raw"><Blobs>
        <Blob><Name Encoded="true">a%EF%BF%BEb</Name>
        <Properties><Content-Length>3</Content-Length><Etag>0x1</Etag></Properties></Blob>
        </Blobs><NextMarker/></EnumerationResults>"""
    with serving(Say(200, b"\xef\xbb\xbf" + page.encode())) as script:
        (found,) = store_at(script, "azure").list()
        assert (found.key, found.size, found.etag) == ("a\ufffeb", 3, '"0x1"')


def test_nobody_is_told_to_correct_a_secret_who_has_none() -> None:
    refusal = b'{"error": {"code": 401, "message": "Anonymous caller", "errors": [{"reason": "required"}]}}'
    with serving(Say(401, refusal)) as script, pytest.raises(errors.AccessDenied, match="is not public"):
        list(store_at(script, "gcs", anonymous=True).list())


def test_whether_a_generation_was_replaced_is_asked_once() -> None:
    asked = list[str]()

    class Watched(GCSRequests):
        def send(self, method: str, *more: object, **others: object) -> object:  # type: ignore[override]
            asked.append(method)
            return super().send(method, *more, **others)  # type: ignore[arg-type]

    def answer(question: Asked) -> Say:
        return Say(404) if "generation" in question.target else Say(200, b"", TAG)

    with serving(answer) as script:
        access = StoreAccess(kind="gcs", name="a/b", bucket="raw", prefix="d", endpoint=script.url, anonymous=True)
        store = GCSStore(access, {})
        store.__dict__["requests"] = Watched(access, store, None)
        saved = Saved()
        with pytest.raises(errors.Changed):
            store.download("x", saved.sink, lambda _: None, 0, 5, version="7")
        assert asked == ["HEAD"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", errors.CredentialExpired),
        ("NoSuchBucket", errors.BucketNotFound),
        ("RequestTimeTooSkewed", errors.ClockSkew),
    ],
)
@pytest.mark.parametrize("length", [100, 100_000])
def test_what_an_error_says_does_not_depend_on_how_much_was_asked_for(code: str, kind: type[Exception], length: int) -> None:
    body = f"<Error><Code>{code}</Code><Message>{'no ' * 100}</Message></Error>".encode()
    with serving(Say(404 if code == "NoSuchBucket" else 400 if code == "ExpiredToken" else 403, body)) as script:
        saved = Saved()
        with pytest.raises(kind):
            store_at(script, "s3").download("x", saved.sink, saved.count, 0, length)
        assert saved.data == b""


@pytest.mark.parametrize("length", [100, 100_000])
def test_a_page_in_place_of_a_range_is_no_such_service(length: int) -> None:
    with serving(Say(200, b"<html>" * 50_000)) as script:
        saved = Saved()
        with pytest.raises(errors.EndpointUnreachable):
            store_at(script, "s3").download("x", saved.sink, saved.count, 0, length)
        assert saved.data == b""
