"""What servers and networks answer, and what it means. Texts are those of obstore 0.12 and of the services' documentation."""

from __future__ import annotations

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, Target, classify, read_answer, target_of
from datums.stores.s3_codes import S3_CODES

TARGET = Target("platform/ml", "s3://acme", "acme", "https://s3.example.com", key="raw/x")


def _status(status: int, code: str, message: str = "") -> str:
    return (
        f"Generic S3 error: Error performing GET https://s3.example.com/acme/raw/x?X-Amz-Signature=abcdef in 1ms - Server returned "
        f"non-2xx status code: {status} Something: <Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (_status(404, "NoSuchKey"), errors.NotFound, "no object s3://acme/raw/x"),
        (_status(404, "NoSuchBucket"), errors.BucketNotFound, "create it, or correct spec.s3.bucket"),
        (
            _status(403, "AccessDenied", "Access Denied."),
            errors.AccessDenied,
            "may not read s3://acme/raw/x (403 Acc",
        ),
        (_status(403, "SignatureDoesNotMatch"), errors.AccessDenied, "does not accept the credentials"),
        (_status(400, "ExpiredToken"), errors.CredentialExpired, "have expired (400 ExpiredToken): renew the Secret"),
        (_status(403, "RequestTimeTooSkewed", "The difference is too large"), errors.ClockSkew, "synchronise the clocks"),
        (_status(503, "SlowDown", "Please reduce your request rate."), errors.Throttled, "fewer requests (503 SlowDown"),
        (_status(503, ""), errors.Throttled, "fewer requests (503)"),
        (_status(502, ""), errors.Unavailable, "could not read"),
        (_status(501, "NotImplemented"), errors.NotSupported, "does not know how to read"),
        (_status(409, "ConditionalRequestConflict"), errors.Unavailable, "could not read"),
        (_status(400, "BadDigest"), errors.Unavailable, "other than it was sent"),
        (_status(500, "InternalError"), errors.Unavailable, "could not read"),
        (_status(429, ""), errors.Throttled, "fewer requests"),
        (_status(412, "PreconditionFailed"), errors.Changed, "no longer the version"),
        (_status(416, "InvalidRange"), errors.Corrupt, "is shorter than"),
        (_status(301, "PermanentRedirect"), errors.StoreError, "correct spec.s3.region or spec.s3.endpoint"),
        ("DeleteObjects request failed for key x: Access Denied. (code: AccessDenied)", errors.AccessDenied, "may not read"),
        (
            'kind: Connect, Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }',
            errors.EndpointUnreachable,
            "refused",
        ),
        ('Os { code: 104, kind: ConnectionReset, message: "Connection reset by peer" }', errors.Unavailable, "reset by peer"),
        ("kind: Connect, source: TimedOut", errors.EndpointUnreachable, "did not answer in time"),
        ("kind: Body, source: TimedOut", errors.Unavailable, "did not answer in time"),
        ("Connect InvalidCertificate(UnknownIssuer)", errors.CertificateInvalid, "(UnknownIssuer): set spec.s3.caBundle"),
        (
            "GET http://s3/b/Connect-redirect-Timeout in 1ms - HTTP error\nretry_timeout: 20s,\nhyper::Error( IncompleteMessage, )",
            errors.Unavailable,
            "the connection to https://s3.example.com broke off",
        ),
        ("source: NotPartial,", errors.EndpointUnreachable, "does not answer as S3 does"),
        ("source: Metadata { source: MissingEtag, },", errors.EndpointUnreachable, "does not answer as S3 does"),
        ("HTTP error: error following redirect kind: Redirect, source: TooManyRedirects", errors.StoreError, "without end"),
        (
            "Error in 1ms - Server returned non-2xx status code: 404 Not Found: <html>gone</html>\n\nDebug source",
            errors.EndpointUnreachable,
            "does not answer as S3 does (404)",
        ),
        ("Error in 1ms - Server returned non-2xx status code: 404 Not Found: \n\nDebug source", errors.NotFound, "no object"),
        ("InvalidCertificate(Other(OtherError(CaUsedAsEndEntity)))", errors.CertificateInvalid, "(CaUsedAsEndEntity)"),
    ],
)
def test_an_answer_is_understood(text: str, kind: type[errors.StoreError], words: str) -> None:
    error = classify(read_answer(text), TARGET, "read", S3_CODES)
    assert type(error) is kind
    assert words in str(error)
    assert "DataStore platform/ml" in str(error)
    assert "abcdef" not in str(error)
    assert (error.store, error.key) == ("platform/ml", "raw/x")


def test_only_what_may_mend_itself_is_retryable() -> None:
    assert classify(Answer(status=503), TARGET, "read", S3_CODES).retryable
    assert not classify(Answer(status=403), TARGET, "read", S3_CODES).retryable


def test_a_wait_is_passed_on() -> None:
    error = classify(Answer(status=503, retry_after=7.0), TARGET, "read", S3_CODES)
    assert isinstance(error, errors.Throttled)
    assert error.retry_after == 7.0


def test_words_are_those_of_the_provider() -> None:
    access = StoreAccess(kind="ovh", name="team/cold", bucket="raw", account="proj", prefix="datums", region="gra")
    error = classify(Answer(status=404, code="NoSuchBucket"), target_of(access)._replace(key="x"), "read", S3_CODES)
    assert str(error) == (
        "DataStore team/cold: there is no container 'raw' at https://s3.gra.io.cloud.ovh.net: "
        "create it, or correct spec.ovh.container"
    )


def test_a_proxy_is_named_without_its_password() -> None:
    access = StoreAccess(name="a/b", bucket="raw", prefix="d", endpoint="http://s3", proxy="http://me:secret@proxy:3128")
    error = classify(Answer(network="Connect TimedOut"), target_of(access), "read", S3_CODES)
    assert str(error) == "DataStore a/b: http://s3 (by the proxy proxy:3128) did not answer in time"


def test_what_is_not_public_is_told_without_blaming_credentials() -> None:
    access = StoreAccess(name="a/b", bucket="raw", prefix="d", anonymous=True)
    error = classify(Answer(status=403, code="AccessDenied"), target_of(access)._replace(key="x"), "read", S3_CODES)
    assert isinstance(error, errors.AccessDenied)
    assert "s3://raw/x is not public (403 AccessDenied), and spec.credentials.anonymous" in str(error)
