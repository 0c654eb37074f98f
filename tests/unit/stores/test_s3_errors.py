"""What servers and networks answer, and what it means. Texts are those of obstore 0.12 and of the services' documentation."""

from __future__ import annotations

import pytest

from datums.stores import errors
from datums.stores.s3_errors import Answer, Target, classify, read_answer

TARGET = Target("platform/ml", "acme", "https://s3.example.com", "raw/x")


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
        (_status(400, "ExpiredToken"), errors.AccessDenied, "does not accept the credentials"),
        (_status(403, "RequestTimeTooSkewed", "The difference is too large"), errors.ClockSkew, "synchronise the clocks"),
        (_status(503, "SlowDown", "Please reduce your request rate."), errors.Unavailable, "now (503 SlowDown"),
        (_status(500, "InternalError"), errors.Unavailable, "could not read"),
        (_status(429, ""), errors.Unavailable, "could not read"),
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
        ("InvalidCertificate(Other(OtherError(CaUsedAsEndEntity)))", errors.CertificateInvalid, "(CaUsedAsEndEntity)"),
    ],
)
def test_an_answer_is_understood(text: str, kind: type[errors.StoreError], words: str) -> None:
    error = classify(read_answer(text), TARGET, "read")
    assert type(error) is kind
    assert words in str(error)
    assert "DataStore platform/ml" in str(error)
    assert "abcdef" not in str(error)
    assert (error.store, error.key) == ("platform/ml", "raw/x")


def test_only_what_may_mend_itself_is_retryable() -> None:
    assert classify(Answer(status=503), TARGET, "read").retryable
    assert not classify(Answer(status=403), TARGET, "read").retryable
