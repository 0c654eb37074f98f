"""What Azure Blob Storage answers, and what it means."""

from __future__ import annotations

import pytest

from datums.stores import errors
from datums.stores.answers import Answer, Target, classify, read_error_body
from datums.stores.azure_codes import AZURE_CODES, refine, refuse_client

TARGET = Target(
    "platform/ml",
    "azure://acme/raw",
    "raw",
    "https://acme.blob.core.windows.net",
    field="spec.azure",
    noun="container",
    key="x",
)
SIGNED = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly."


def _said(status: int, code: str, message: str = "", detail: str = "") -> tuple[Answer, str]:
    text = (
        f"\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:1\nTime:2"
        f"</Message><AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>"
    )  # fmt: skip
    return read_error_body(status, text.encode()), text


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (_said(404, "ContainerNotFound"), errors.BucketNotFound, r"no container 'raw' .*spec\.azure\.container"),
        (_said(409, "ContainerBeingDeleted"), errors.BucketNotFound, "no container"),
        (_said(404, "BlobNotFound"), errors.NotFound, "no object azure://acme/raw/x"),
        (_said(403, "AuthenticationFailed", SIGNED), errors.AccessDenied, "does not accept the credentials"),
        (_said(403, "AuthorizationFailure", SIGNED), errors.AccessDenied, "does not accept the credentials"),
        (_said(403, "AuthorizationFailure", "This request is not authorized."), errors.AccessDenied, "may not read"),
        (_said(403, "AuthorizationPermissionMismatch"), errors.AccessDenied, "may not read"),
        (_said(403, "AuthenticationFailed", SIGNED, "Request date header too old: 'x'"), errors.ClockSkew, "clock"),
        (_said(403, "KeyBasedAuthenticationNotPermitted"), errors.AccessDenied, "KeyBasedAuthenticationNotPermitted"),
        (_said(503, "ServerBusy"), errors.Throttled, "fewer requests"),
        (_said(500, "OperationTimedOut"), errors.Unavailable, "could not read"),
        (_said(412, "ConditionNotMet"), errors.Changed, "no longer the version"),
        (_said(409, "BlobAlreadyExists"), errors.Changed, "no longer the version"),
        (_said(412, "LeaseIdMissing"), errors.AccessDenied, "may not read"),
        (_said(400, "Md5Mismatch"), errors.Unavailable, "other than it was sent"),
        (_said(400, "InvalidBlockList"), errors.NotFound, "must be begun anew"),
        (_said(416, "InvalidRange"), errors.Corrupt, "is shorter than"),
    ],
)
def test_an_answer_is_read(said: tuple[Answer, str], kind: type[errors.StoreError], words: str) -> None:
    error = classify(refine(*said), TARGET, "read", AZURE_CODES)
    assert type(error) is kind, error
    assert "RequestId" not in str(error)
    with pytest.raises(kind, match=words):
        raise error


@pytest.mark.parametrize(
    ("status", "text", "kind", "words"),
    [
        (
            401,
            '{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace"}',
            errors.AccessDenied,
            r"does not accept the credentials \(401 AuthenticationFailed: AADSTS7000215: Invalid client secret provided\)",
        ),
        (400, '{"error_description":"AADSTS7000222: The keys are expired."}', errors.CredentialExpired, "have expired"),
        (401, '{"error_description":"AADSTS700024: Not within its time."}', errors.ClockSkew, "clock"),
        (400, '{"error":"invalid_request"}', errors.AccessDenied, "does not accept the credentials"),
        (400, '{"error_description":"AADSTS90033: A transient error has occurred."}', errors.Throttled, "AADSTS90033"),
        (503, '{"error_description":"AADSTS90033: A transient error has occurred."}', errors.Throttled, "AADSTS90033"),
        (429, "", errors.Throttled, "fewer requests"),
        (500, "<html>", errors.Unavailable, "could not read"),
    ],
)
def test_a_refused_client(status: int, text: str, kind: type[errors.StoreError], words: str) -> None:
    error = classify(refuse_client(status, text), TARGET, "read", AZURE_CODES)
    assert type(error) is kind, error
    with pytest.raises(kind, match=words):
        raise error


def test_a_wrong_signature_by_a_token_that_has_ended() -> None:
    error = classify(refine(*_said(403, "AuthenticationFailed", SIGNED), expired=True), TARGET, "read", AZURE_CODES)
    assert isinstance(error, errors.CredentialExpired)
    missing = refine(*_said(404, "BlobNotFound"), expired=True)
    assert type(classify(missing, TARGET, "read", AZURE_CODES)) is errors.NotFound


def test_nobody_has_wrong_credentials_who_sends_none() -> None:
    answer = refine(*_said(401, "NoAuthenticationInformation", SIGNED), anonymous=True)
    error = classify(answer, TARGET._replace(anonymous=True), "read", AZURE_CODES)
    assert type(error) is errors.AccessDenied
    assert "is not public" in str(error)
