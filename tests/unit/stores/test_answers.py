"""What servers and networks answer, and what it means."""

from __future__ import annotations

import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, Target, classify, read_error_body, target_of
from datums.stores.s3_codes import S3_CODES

TARGET = Target("platform/ml", "s3://acme", "acme", "https://s3.example.com", key="raw/x")


def _said(status: int, code: str, message: str = "") -> Answer:
    return read_error_body(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (_said(404, "NoSuchKey"), errors.NotFound, "no object s3://acme/raw/x"),
        (_said(404, "NoSuchBucket"), errors.BucketNotFound, "create it, or correct spec.s3.bucket"),
        (_said(403, "AccessDenied", "Access Denied."), errors.AccessDenied, "may not read s3://acme/raw/x (403 Acc"),
        (_said(403, "SignatureDoesNotMatch"), errors.AccessDenied, "does not accept the credentials"),
        (_said(400, "ExpiredToken"), errors.CredentialExpired, "have expired (400 ExpiredToken): renew the Secret"),
        (_said(403, "RequestTimeTooSkewed", "The difference is too large"), errors.ClockSkew, "synchronise the clocks"),
        (_said(503, "SlowDown", "Please reduce your request rate."), errors.Throttled, "fewer requests (503 SlowDown"),
        (_said(503, ""), errors.Throttled, "fewer requests (503)"),
        (_said(502, ""), errors.Unavailable, "could not read"),
        (_said(501, "NotImplemented"), errors.NotSupported, "does not know how to read"),
        (_said(409, "ConditionalRequestConflict"), errors.Unavailable, "could not read"),
        (_said(400, "BadDigest"), errors.Unavailable, "other than it was sent"),
        (_said(500, "InternalError"), errors.Unavailable, "could not read"),
        (_said(429, ""), errors.Throttled, "fewer requests"),
        (_said(412, "PreconditionFailed"), errors.Changed, "no longer the version"),
        (_said(416, "InvalidRange"), errors.Corrupt, "is shorter than"),
        (_said(301, "PermanentRedirect"), errors.StoreError, "correct spec.s3.region or spec.s3.endpoint"),
        (read_error_body(404, b"<html>gone</html>"), errors.EndpointUnreachable, "does not answer as S3 does (404)"),
        (read_error_body(404, b""), errors.NotFound, "no object"),
        (Answer(network="Connect [Errno 111] Connection refused"), errors.EndpointUnreachable, "refused"),
        (Answer(network="[Errno 104] Connection reset by peer"), errors.Unavailable, "reset by peer"),
        (Answer(network="Connect timed out: after 5 s"), errors.EndpointUnreachable, "did not answer in time"),
        (Answer(network="timed out: no byte"), errors.Unavailable, "did not answer in time"),
        (
            Answer(network="Connect certificate verify failed: self-signed certificate"),
            errors.CertificateInvalid,
            "(certificate verify failed: self-signed certificate): set spec.s3.caBundle",
        ),
        (Answer(network="Connect ..."), errors.EndpointUnreachable, "cannot be reached"),
        (Answer(network="Got invalid answer"), errors.EndpointUnreachable, "does not answer as S3 does"),
        (Answer(network="transfer closed"), errors.Unavailable, "the connection to https://s3.example.com broke off"),
    ],
)
def test_an_answer_is_understood(answer: Answer, kind: type[errors.StoreError], words: str) -> None:
    error = classify(answer, TARGET, "read", S3_CODES)
    assert type(error) is kind
    assert words in str(error)
    assert "DataStore platform/ml" in str(error)
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
    error = classify(Answer(network="Connect timed out: 5 s"), target_of(access), "read", S3_CODES)
    assert str(error) == "DataStore a/b: http://s3 (by the proxy proxy:3128) did not answer in time"


def test_what_is_not_public_is_told_without_blaming_credentials() -> None:
    access = StoreAccess(name="a/b", bucket="raw", prefix="d", anonymous=True)
    error = classify(Answer(status=403, code="AccessDenied"), target_of(access)._replace(key="x"), "read", S3_CODES)
    assert isinstance(error, errors.AccessDenied)
    assert "s3://raw/x is not public (403 AccessDenied), and spec.credentials.anonymous" in str(error)
