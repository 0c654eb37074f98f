"""What Azure Blob Storage answers, and what it means."""

from __future__ import annotations

import pytest

from datums.stores import errors
from datums.stores.answers import Target, classify, read_answer
from datums.stores.azure_codes import AZURE_CODES, refine

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


def _obstore(status: int, code: str, message: str = "", detail: str = "") -> str:
    return (
        f"Generic MicrosoftAzure error: Error performing GET REDACTED in 1ms - Server returned non-2xx status code: {status} Why: "
        f"\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:1\nTime:2"
        f"</Message><AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail></Error>\n\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (_obstore(404, "ContainerNotFound"), errors.BucketNotFound, r"no container 'raw' .*spec\.azure\.container"),
        (_obstore(409, "ContainerBeingDeleted"), errors.BucketNotFound, "no container"),
        (_obstore(404, "BlobNotFound"), errors.NotFound, "no object azure://acme/raw/x"),
        (_obstore(403, "AuthenticationFailed", SIGNED), errors.AccessDenied, "does not accept the credentials"),
        (_obstore(403, "AuthorizationFailure", SIGNED), errors.AccessDenied, "does not accept the credentials"),
        (_obstore(403, "AuthorizationFailure", "This request is not authorized."), errors.AccessDenied, "may not read"),
        (_obstore(403, "AuthorizationPermissionMismatch"), errors.AccessDenied, "may not read"),
        (_obstore(403, "AuthenticationFailed", SIGNED, "Request date header too old: 'x'"), errors.ClockSkew, "clock"),
        (_obstore(403, "KeyBasedAuthenticationNotPermitted"), errors.AccessDenied, "KeyBasedAuthenticationNotPermitted"),
        (_obstore(503, "ServerBusy"), errors.Throttled, "fewer requests"),
        (_obstore(500, "OperationTimedOut"), errors.Unavailable, "could not read"),
        (_obstore(412, "ConditionNotMet"), errors.Changed, "no longer the version"),
        (_obstore(400, "Md5Mismatch"), errors.Unavailable, "other than it was sent"),
        (_obstore(400, "InvalidBlockList"), errors.NotFound, "must be begun anew"),
        ("source: InvalidRangeRequest { source: StartTooLarge { requested: 5, length: 5 } }", errors.Corrupt, "is shorter than"),
        ("Bulk delete request failed for key x: Why. (code: 403)", errors.AccessDenied, "may not read"),
        ("Bulk delete request failed for key x: Why. (code: 404)", errors.NotFound, "no object"),
        ("Bulk delete request failed for key x: Why. (code: 503)", errors.Throttled, "fewer requests"),
        (
            "Error performing token request: Error performing POST https://login in 1ms - Server returned non-2xx status code: 401 "
            'Unauthorized: {"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace"}',
            errors.AccessDenied,
            r"does not accept the credentials \(401 AuthenticationFailed: AADSTS7000215: Invalid client secret provided\)",
        ),
        ('400: {"error_description":"AADSTS7000222: The keys are expired."}', errors.CredentialExpired, "have expired"),
    ],
)
def test_an_answer_is_read(text: str, kind: type[errors.StoreError], words: str) -> None:
    error = classify(refine(read_answer(text), text), TARGET, "read", AZURE_CODES)
    assert type(error) is kind, error
    assert "RequestId" not in str(error)
    with pytest.raises(kind, match=words):
        raise error


def test_a_wrong_signature_by_a_token_that_has_ended() -> None:
    text = _obstore(403, "AuthenticationFailed", SIGNED)
    error = classify(refine(read_answer(text), text, expired=True), TARGET, "read", AZURE_CODES)
    assert isinstance(error, errors.CredentialExpired)
    missing = _obstore(404, "BlobNotFound")
    assert type(classify(refine(read_answer(missing), missing, expired=True), TARGET, "read", AZURE_CODES)) is errors.NotFound


def test_nobody_has_wrong_credentials_who_sends_none() -> None:
    text = _obstore(401, "NoAuthenticationInformation", SIGNED)
    target = TARGET._replace(anonymous=True)
    error = classify(refine(read_answer(text), text, anonymous=True), target, "read", AZURE_CODES)
    assert type(error) is errors.AccessDenied
    assert "is not public" in str(error)
