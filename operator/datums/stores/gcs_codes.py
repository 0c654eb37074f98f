"""The errors of Google Cloud Storage, which has two APIs: XML and JSON."""

from __future__ import annotations

import json
from typing import Final

from datums.stores.answers import Answer, Codes, read_error_body

NO_BUCKET: Final = "NoSuchBucket"
CLOCK: Final = "RequestTimeTooSkewed"

GCS_CODES: Final = Codes(
    protocol="Google Cloud Storage",
    no_bucket=frozenset({NO_BUCKET, "InvalidBucketName"}),
    no_object=frozenset({"NoSuchKey", "notFound"}),
    bad_key=frozenset({"AuthenticationRequired", "InvalidSecurity", "SignatureDoesNotMatch", "authError", "required"}),
    expired=frozenset({"ExpiredToken", "TokenExpired"}),
    clock=frozenset({CLOCK}),
    denied=frozenset({"AccessDenied", "AccountProblem", "UserProjectAccessDenied", "forbidden", "insufficientPermissions"}),
    slow_down=frozenset({"SlowDown", "TooManyRequests", "rateLimitExceeded", "userRateLimitExceeded"}),
    busy=frozenset({"IncompleteBody", "InternalError", "backendError", "internalError"}),
    changed=frozenset({"PreconditionFailed", "conditionNotMet"}),
    unsupported=frozenset({"NotImplemented", "notImplemented"}),
    damaged=frozenset({"BadDigest"}),
)
"""Source: cloud.google.com/storage/docs/xml-api/reference-status and docs/json_api/v1/status-codes"""

_NO_BODY: Final = (b"", b"Not Found", b"Conflict", b"Precondition Failed")


def read_body(status: int, body: bytes | bytearray) -> Answer:
    """What the body of an answer tells, of either API."""
    try:
        error = json.loads(body)["error"]
        message = str(error.get("message", ""))[:300]
        code = str((error.get("errors") or [{}])[0].get("reason", ""))[:64]
    except (ValueError, LookupError, TypeError, AttributeError):
        answer = read_error_body(status, body)
        return answer._replace(foreign=answer.foreign and body.strip() not in _NO_BODY)
    return Answer(status=status, code=code, message=message)
