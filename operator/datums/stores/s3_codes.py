"""The error codes of S3 and of what speaks its protocol."""

from __future__ import annotations

from typing import Final

from datums.stores.answers import Codes

S3_CODES: Final = Codes(
    protocol="S3",
    no_bucket=frozenset({"NoSuchBucket"}),
    no_object=frozenset({"NoSuchKey", "NoSuchVersion"}),
    no_upload=frozenset({"InvalidPart", "NoSuchUpload"}),
    bad_key=frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthFailure"}),
    expired=frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}),
    clock=frozenset({"RequestTimeTooSkewed", "RequestExpired"}),
    denied=frozenset({"AccessDenied", "AllAccessDisabled"}),
    slow_down=frozenset(
        {
            "BandwidthLimitExceeded",
            "RequestLimitExceeded",
            "ServiceUnavailable",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "TooManyRequests",
        }
    ),
    busy=frozenset({"ConditionalRequestConflict", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout"}),
    changed=frozenset({"PreconditionFailed"}),
    elsewhere=frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect"}),
    unsupported=frozenset({"NotImplemented"}),
    damaged=frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}),
)
"""Source: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

SESSION_CODES: Final = S3_CODES._replace(expired=S3_CODES.expired | {"RequestExpired"}, clock=S3_CODES.clock - {"RequestExpired"})
"""For credentials that come with a session token, and with its end."""
