"""What Google Cloud Storage answers, in both of its APIs, and what it means."""

from __future__ import annotations

import json

import pytest

from datums.stores import errors
from datums.stores.answers import Target, classify
from datums.stores.gcs_codes import GCS_CODES, read_body

TARGET = Target(
    "platform/ml", "gs://acme", "acme", "https://storage.googleapis.com", field="spec.gcs", key="raw/x"
)  # fmt: skip


def _xml(code: str) -> str:
    return f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>Why.</Message></Error>"


def _json(code: int, reason: str, message: str = "Why.") -> str:
    return json.dumps({"error": {"code": code, "message": message, "errors": [{"message": message, "reason": reason}]}}, indent=1)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (404, _xml("NoSuchBucket"), errors.BucketNotFound, "no bucket 'acme' .*spec.gcs.bucket"),
        (404, _xml("NoSuchKey"), errors.NotFound, "no object gs://acme/raw/x"),
        (404, _json(404, "notFound"), errors.NotFound, "no object gs://acme/raw/x"),
        (404, "Not Found", errors.NotFound, "no object gs://acme/raw/x"),
        (404, "<html><body>Not here</body></html>", errors.EndpointUnreachable, "does not answer as Google Cloud"),
        (401, _xml("AuthenticationRequired"), errors.AccessDenied, "does not accept the credentials"),
        (401, _json(401, "authError", "Invalid Credentials"), errors.AccessDenied, "not accept .*Invalid Cred"),
        (403, _xml("AccessDenied"), errors.AccessDenied, "may not read gs://acme/raw/x"),
        (
            403,
            _json(403, "forbidden", "x lacks storage.objects.get"),
            errors.AccessDenied,
            "lacks storage.objects.get",
        ),
        (403, _json(403, "rateLimitExceeded"), errors.Throttled, "fewer requests"),
        (429, _xml("SlowDown"), errors.Throttled, "fewer requests"),
        (503, "", errors.Throttled, "fewer requests"),
        (500, _json(500, "backendError"), errors.Unavailable, "could not read"),
        (412, _json(412, "conditionNotMet"), errors.Changed, "no longer the version"),
        (416, "", errors.Corrupt, "is shorter than"),
        (400, _json(400, "invalid", "invalid uploadType"), errors.StoreError, "400 invalid: invalid uploadType"),
        (400, _xml("UserProjectMissing"), errors.StoreError, "400 UserProjectMissing: Why"),
    ],
)
def test_an_answer_is_read_of_either_api(status: int, body: str, kind: type[errors.StoreError], words: str) -> None:
    error = classify(read_body(status, body.encode()), TARGET, "read", GCS_CODES)
    assert type(error) is kind, error
    with pytest.raises(kind, match=words):
        raise error


def test_a_body_that_is_nearly_one_of_google() -> None:
    for body in ('{"error": "invalid_grant"}', '{"error": {"errors": []}}', "[]", "null", '{"error": {"errors": [{}]}}'):
        assert read_body(400, body.encode()).status == 400
