"""What the S3 driver makes of answers that no real server gives when it is asked to."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors, open_store
from datums.stores.s3 import S3Store
from tests.unit.stores.scripted import Say, Scripted, serving

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
SESSION = KEYS | {"AWS_SESSION_TOKEN": "token"}
BUSY = Say(503, b"<Error><Code>SlowDown</Code></Error>", {"Retry-After": "7"})
PAGE = Say(200, b"<html><body>Welcome</body></html>", {"Content-Type": "text/html"})
BIG = bytes(2 << 20)
TAG = {"ETag": '"0123456789abcdef0123456789abcdef"'}


def store_at(script: Scripted, keys: dict[str, str] = KEYS, **changes: Any) -> S3Store:
    here = {"name": "a/b", "bucket": "raw", "prefix": "d", "endpoint": script.url, "force_path_style": True}
    return S3Store(StoreAccess(**(here | changes)), keys)


def calls(store: S3Store) -> list[Any]:
    return [
        lambda: store.get("x"),
        lambda: store.head("x"),
        lambda: store.read("x", 0, 1),
        lambda: list(store.stream("x")),
        lambda: store.put("x", b"small"),
        lambda: store.put("x", BIG),
        lambda: store.delete("x"),
        lambda: store.begin_upload("x"),
        lambda: store.put_part("x", "upload", 1, b"part", offset=0, size=4),
        lambda: store.finish_upload("x", "upload", ["tag"]),
        lambda: store.abort_upload("x", "upload"),
        lambda: next(store.list()),
        lambda: next(store.pending_uploads("")),
    ]


@pytest.mark.parametrize("number", range(13))
def test_each_request_is_sent_once(number: int) -> None:
    with serving(BUSY) as script:
        with pytest.raises(errors.Throttled, match="asks for fewer requests"):
            calls(store_at(script))[number]()
        # A HEAD without a body may be asked again as a GET, but not when the service is busy.
        assert len(script.asked) == 1


def test_the_wait_that_is_asked_for_is_known() -> None:
    with serving(BUSY) as script:
        for call in calls(store_at(script))[7:]:
            with pytest.raises(errors.Throttled) as caught:
                call()
            assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 7, 8, 9, 11, 12])
def test_a_page_of_something_else_is_no_answer(number: int) -> None:
    with serving(PAGE) as script, pytest.raises(errors.EndpointUnreachable, match="does not answer as S3 does"):
        calls(store_at(script))[number]()


def test_a_404_of_something_else_is_no_missing_object() -> None:
    with serving(PAGE._replace(status=404)) as script:
        for call in calls(store_at(script)):
            with pytest.raises(errors.EndpointUnreachable, match="does not answer as S3 does"):
                call()


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_credentials_that_have_had_their_time(code: str) -> None:
    with serving(Say(400, f"<Error><Code>{code}</Code></Error>".encode())) as script:
        for call in calls(store_at(script, SESSION)):
            with pytest.raises(errors.CredentialExpired, match=r"have expired .* renew the Secret"):
                call()


def test_a_request_that_is_late_without_a_session_is_a_wrong_clock() -> None:
    with serving(Say(403, b"<Error><Code>RequestExpired</Code></Error>")) as script, pytest.raises(errors.ClockSkew):
        store_at(script).get("x")


def test_a_redirect_is_not_followed() -> None:
    with serving(Say(200)) as other, serving(Say(307, b"", {"Location": f"{other.url}/elsewhere"})) as script:
        for call in (calls(store_at(script))[n] for n in (4, 5, 7, 8, 9, 11)):
            with pytest.raises(errors.StoreError, match=r"correct spec\.s3\.region or spec\.s3\.endpoint"):
                call()
        assert other.asked == []


def test_a_service_without_conditional_writes_is_looked_at_first() -> None:
    refusal = Say(501, b"<Error><Code>NotImplemented</Code></Error>")
    missing = Say(404, b"<Error><Code>NoSuchKey</Code></Error>")
    for data in (b"small", BIG):
        with serving(refusal, Say(404), missing, Say(200, b"", TAG)) as script:
            store = store_at(script)
            store.put("x", data, if_absent=True)
            assert [asked.method for asked in script.asked] == ["PUT", "HEAD", "GET", "PUT"]
            assert [asked.headers.get("if-none-match") for asked in script.asked] == ["*", None, None, None]
            assert not store.conditional_put


def test_finishing_can_fail_after_a_200() -> None:
    answer = Say(200, b"<Error><Code>InternalError</Code><Message>We failed</Message></Error>")
    with serving(answer) as script, pytest.raises(errors.Unavailable, match=r"InternalError: We failed"):
        store_at(script).finish_upload("x", "upload", [TAG["ETag"]])


def test_a_finish_whose_answer_was_lost_is_recognised() -> None:
    gone = Say(404, b"<Error><Code>NoSuchUpload</Code></Error>")
    # MD5 of the part's MD5, as the service makes it.
    whole = {"ETag": '"4662bdea8654776d486072ff7074945e-1"', "Last-Modified": "Tue, 24 Nov 2026 15:05:17 GMT"}
    with serving(gone, Say(200, b"", whole)) as script:
        store_at(script).finish_upload("x", "upload", [TAG["ETag"]])
    with serving(gone, Say(200, b"", whole | TAG)) as script, pytest.raises(errors.NotFound, match="begun anew"):
        store_at(script).finish_upload("x", "upload", [TAG["ETag"]])
    with serving(gone, Say(200, b"", whole)) as script, pytest.raises(errors.NotFound, match="begun anew"):
        store_at(script).finish_upload("x", "upload", ["no-md5"])


def test_a_part_that_the_service_has_other_than_it_was_sent() -> None:
    answer = Say(200, b"", TAG | {"x-amz-checksum-crc32c": "AAAAAA=="})
    with serving(answer) as script, pytest.raises(errors.Unavailable, match="another checksum"):
        store_at(script).put_part("x", "upload", 1, b"part", offset=0, size=4)


def test_only_the_checksums_that_a_service_knows_are_sent() -> None:
    for checksums, has in (("WhenSupported", True), ("WhenRequired", False)):
        with serving(Say(200, b"", TAG)) as script:
            store = store_at(script, checksums=checksums)
            store.put("x", b"small")
            store.put("x", BIG)
            tag = store.put_part("x", "upload", 1, b"part", offset=0, size=4)
            assert tag.startswith(TAG["ETag"])
            script.answers = [Say(200, b"<CompleteMultipartUploadResult/>")]
            store.finish_upload("x", "upload", [tag])
            script.answers = [Say(200, b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")]
            store.begin_upload("x")
            for asked in script.asked:
                about = [name for name in asked.headers if "checksum" in name or "trailer" in name]
                assert bool(about) == (has and asked.target != "/raw/x?uploadId=upload"), asked
            assert (b"ChecksumCRC32C" in script.asked[-2].body) == has
            signed = [asked.headers["x-amz-content-sha256"] for asked in script.asked]
            assert (signed[1] == signed[2] == "UNSIGNED-PAYLOAD") == has
            assert "UNSIGNED-PAYLOAD" not in (signed[0], signed[3])


def test_a_key_is_sent_as_it_is_signed() -> None:
    with serving(Say(200, b"", TAG)) as script:
        store_at(script).put("a b/pct%2F+é#?~", BIG)
        assert script.asked[0].target == "/raw/a%20b/pct%252F%2B%C3%A9%23%3F~"
        assert script.asked[0].body == BIG


def test_connections_are_used_again() -> None:
    with serving(Say(200, b"", TAG)) as script:
        store = store_at(script)
        for number in range(5):
            store.put_part("x", "upload", number, b"part", offset=0, size=4)
        assert len({asked.connection for asked in script.asked}) == 1


def test_without_credentials_nothing_is_signed() -> None:
    with serving(BUSY) as script:
        for call in calls(store_at(script, {}, anonymous=True)):
            with pytest.raises(errors.StoreError):
                call()
        assert not any(name in asked.headers for asked in script.asked for name in ("authorization", "x-amz-date"))


def test_a_body_that_is_cut() -> None:
    etag = TAG | {"Last-Modified": "Tue, 24 Nov 2026 15:05:17 GMT"}
    with serving(Say(200, b"123", etag, length=10)) as script:
        for call in (lambda s: s.get("x"), lambda s: b"".join(s.stream("x")), lambda s: next(s.list())):
            with pytest.raises(errors.Unavailable):
                call(store_at(script))
    with serving(Say(206, b"123", etag | {"Content-Range": "bytes 0-9/20"}, length=10)) as script:
        for call in (lambda s: s.read("x", 0, 10), lambda s: b"".join(s.stream("x", 0, 10))):
            with pytest.raises(errors.Unavailable):
                call(store_at(script))


def test_a_service_that_ignores_conditions_is_seen_through() -> None:
    answer = TAG | {"Last-Modified": "Tue, 24 Nov 2026 15:05:17 GMT", "Content-Range": "bytes 0-2/3"}
    with serving(Say(206, b"123", answer)) as script:
        assert bytes(store_at(script).read("x", 0, 3, etag=TAG["ETag"].strip('"'))) == b"123"
        for pin in ({"etag": '"another"'}, {"version": "1"}):
            script.answers = [Say(206, b"123", answer | {"x-amz-version-id": "2"})]
            with pytest.raises(errors.Changed):
                store_at(script).read("x", 0, 3, **pin)


def listing(*keys: str, following: str = "", echo: str = "") -> Say:
    contents = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag><LastModified>2026-11-24T15:05:17.000Z</LastModified></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{following}</NextContinuationToken>" if following else ""
    told = f"<ContinuationToken>{echo}</ContinuationToken>" if echo else ""
    return Say(200, f"<ListBucketResult>{more}{told}{contents}</ListBucketResult>".encode())


def test_a_list_goes_on_at_the_page_that_failed() -> None:
    with serving(listing("p/a", "p/b", following="1"), BUSY, BUSY, listing("p/c", echo="1")) as script:
        found, keys = store_at(script).list("p/"), []
        for _ in range(2):
            with pytest.raises(errors.Throttled):
                keys.extend(each.key for each in _until_error(found, keys))
        assert [*keys, *(each.key for each in found)] == ["p/a", "p/b", "p/c"]
        tokens = [parse_qs(urlsplit(asked.target).query).get("continuation-token") for asked in script.asked]
        assert tokens == [None, ["1"], ["1"], ["1"]]


def _until_error(found: Any, keys: list[str]) -> Any:
    while True:
        keys.append(next(found).key)


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        ([listing("p/a", following="1"), listing("p/a", following="1")], "after 'p/a'"),
        ([listing("p/a", "p/b", following="1"), listing("p/a", "p/b", following="1")], "the same page again"),
        ([listing("p/a", following="1"), listing("p/c", following="3", echo="2")], "another page of the list"),
        ([listing("p/a", following="1"), listing("q/c")], "has 'q/c'"),
        ([listing("p/a", following="1"), listing("p/b", following="2"), listing("p/c", following="1")], "the same page again"),
        ([Say(200, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")], "how its list goes on"),
        ([Say(200, b"<ListBucketResult><Contents><Key>p/")], "does not answer as S3 does"),
    ],
)
def test_a_list_that_cannot_be_right_is_none(pages: list[Say], says: str) -> None:
    with serving(*pages) as script, pytest.raises(errors.EndpointUnreachable, match=says):
        list(store_at(script).list("p/"))


def test_uploads_are_listed_page_by_page() -> None:
    def page(keys: list[str], more: str) -> Say:
        uploads = "".join(
            f"<Upload><Key>{key}</Key><UploadId>u{key}</UploadId><Initiated>2026-11-24T15:05:17.000Z</Initiated></Upload>"
            for key in keys
        )
        return Say(200, f"<ListMultipartUploadsResult>{more}{uploads}</ListMultipartUploadsResult>".encode())

    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>p/b+c</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    with serving(page(["p/a", "other"], more), page(["p/d"], "")) as script:
        assert [each.key for each in store_at(script).pending_uploads("p/")] == ["p/a", "p/d"]
        query = parse_qs(urlsplit(script.asked[1].target).query)
        assert (query["key-marker"], query["upload-id-marker"]) == (["p/b+c"], ["u"])


def test_an_answer_without_end_is_not_taken() -> None:
    with serving(Say(200, bytes(17 << 20))) as script, pytest.raises(errors.EndpointUnreachable):
        next(store_at(script).list())


def test_somebodys_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "AWS_SESSION_TOKEN": "theirs", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "AWS_SERVER_SIDE_ENCRYPTION": "AES256",
        "AWS_SKIP_SIGNATURE": "true",
    }  # fmt: skip
    for name, value in theirs.items():
        monkeypatch.setenv(name, value)
    with serving(Say(200, b"", TAG)) as script:
        access = StoreAccess(name="a/b", bucket="raw", prefix="d", endpoint=script.url, force_path_style=True)
        open_store(access, KEYS).put("x", b"small")
        headers = script.asked[0].headers
    assert "Credential=id/" in headers["authorization"]
    assert not {"x-amz-security-token", "x-amz-server-side-encryption"} & headers.keys()
    assert theirs.items() <= os.environ.items()
