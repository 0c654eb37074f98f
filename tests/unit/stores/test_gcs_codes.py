"""What Google Cloud Storage answers, in both of its APIs, and what it means."""

from __future__ import annotations

import json

import pytest

from datums.stores import errors
from datums.stores.answers import Target, classify
from datums.stores.gcs_codes import GCS_CODES, read_body, read_text

TARGET = Target(
    "platform/ml", "gs://acme", "acme", "https://storage.googleapis.com", field="spec.gcs", key="raw/x"
)  # fmt: skip


def _obstore(status: int, phrase: str, body: str) -> str:
    return (
        f"Generic GCS error: Error performing GET https://storage.googleapis.com/acme/raw/x in 1ms - Server returned non-2xx "
        f'status code: {status} {phrase}: {body}\n\nDebug source:\nGeneric {{\n    body: "<Code>Other</Code>" }}'
    )


def _xml(code: str) -> str:
    return f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>Why.</Message></Error>"


def _json(code: int, reason: str, message: str = "Why.") -> str:
    return json.dumps({"error": {"code": code, "message": message, "errors": [{"message": message, "reason": reason}]}}, indent=1)


@pytest.mark.parametrize(
    ("status", "phrase", "body", "kind", "words"),
    [
        (404, "Not Found", _xml("NoSuchBucket"), errors.BucketNotFound, "no bucket 'acme' .*spec.gcs.bucket"),
        (404, "Not Found", _xml("NoSuchKey"), errors.NotFound, "no object gs://acme/raw/x"),
        (404, "Not Found", _json(404, "notFound"), errors.NotFound, "no object gs://acme/raw/x"),
        (404, "Not Found", "Not Found", errors.NotFound, "no object gs://acme/raw/x"),
        (404, "Not Found", "<html><body>Not here</body></html>", errors.EndpointUnreachable, "does not answer as Google Cloud"),
        (401, "Unauthorized", _xml("AuthenticationRequired"), errors.AccessDenied, "does not accept the credentials"),
        (401, "Unauthorized", _json(401, "authError", "Invalid Credentials"), errors.AccessDenied, "not accept .*Invalid Cred"),
        (403, "Forbidden", _xml("AccessDenied"), errors.AccessDenied, "may not read gs://acme/raw/x"),
        (
            403,
            "Forbidden",
            _json(403, "forbidden", "x lacks storage.objects.get"),
            errors.AccessDenied,
            "lacks storage.objects.get",
        ),
        (403, "Forbidden", _json(403, "rateLimitExceeded"), errors.Throttled, "fewer requests"),
        (429, "Too Many Requests", _xml("SlowDown"), errors.Throttled, "fewer requests"),
        (503, "Service Unavailable", "", errors.Throttled, "fewer requests"),
        (500, "Internal Server Error", _json(500, "backendError"), errors.Unavailable, "could not read"),
        (412, "Precondition Failed", _json(412, "conditionNotMet"), errors.Changed, "no longer the version"),
        (416, "Range Not Satisfiable", "", errors.Corrupt, "is shorter than"),
        (400, "Bad Request", _json(400, "invalid", "invalid uploadType"), errors.StoreError, "400 invalid: invalid uploadType"),
        (400, "Bad Request", _xml("UserProjectMissing"), errors.StoreError, "400 UserProjectMissing: Why"),
    ],
)
def test_an_answer_means_the_same_in_both_apis(
    status: int, phrase: str, body: str, kind: type[errors.StoreError], words: str
) -> None:
    for answer in (read_body(status, body), read_text(_obstore(status, phrase, body))):
        error = classify(answer, TARGET, "read", GCS_CODES)
        assert type(error) is kind, error
        with pytest.raises(kind, match=words):
            raise error


def test_a_body_that_is_nearly_one_of_google() -> None:
    for body in ('{"error": "invalid_grant"}', '{"error": {"errors": []}}', "[]", "null", '{"error": {"errors": [{}]}}'):
        assert read_body(400, body).status == 400


def test_a_network_is_told_as_it_is() -> None:
    answer = read_text('kind: Connect, Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }')
    assert isinstance(classify(answer, TARGET, "read", GCS_CODES), errors.EndpointUnreachable)
