"""The errors of Azure Blob Storage, and of the login service that its tokens come from."""

from __future__ import annotations

import re
from typing import Final

from datums.stores.answers import Answer, Codes

BAD_KEY: Final = "AuthenticationFailed"
EXPIRED: Final = "AuthenticationExpired"
"""Azure has one code for all that is wrong with a signature: these two are ours."""
CLOCK: Final = "RequestTimeTooSkewed"
NO_BUCKET: Final = "ContainerNotFound"

AZURE_CODES: Final = Codes(
    protocol="Azure Blob Storage",
    no_bucket=frozenset({NO_BUCKET, "ContainerBeingDeleted", "ContainerDisabled", "InvalidResourceName"}),
    no_object=frozenset({"BlobNotFound", "ResourceNotFound"}),
    no_upload=frozenset({"InvalidBlockList"}),
    bad_key=frozenset({BAD_KEY, "InvalidAuthenticationInfo", "KeyBasedAuthenticationNotPermitted", "NoAuthenticationInformation"}),
    expired=frozenset({EXPIRED}),
    clock=frozenset({CLOCK}),
    denied=frozenset(
        {
            "AccountIsDisabled",
            "AuthorizationFailure",
            "AuthorizationPermissionMismatch",
            "AuthorizationProtocolMismatch",
            "AuthorizationResourceTypeMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationSourceIPMismatch",
            "InsufficientAccountPermissions",
            "LeaseIdMismatchWithBlobOperation",
            "LeaseIdMissing",
            "LeaseLost",
            "PublicAccessNotPermitted",
        }
    ),
    slow_down=frozenset({"ServerBusy", "TooManyRequests"}),
    busy=frozenset({"InternalError", "OperationTimedOut"}),
    changed=frozenset({"BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"}),
    unsupported=frozenset({"NotImplemented", "UnsupportedHeader"}),
    damaged=frozenset({"Crc64Mismatch", "Md5Mismatch"}),
)
"""Source: learn.microsoft.com/rest/api/storageservices/blob-service-error-codes"""

_OF_CREDENTIALS: Final = frozenset({BAD_KEY, "InvalidAuthenticationInfo", "NoAuthenticationInformation"})
_CLOCK: Final = re.compile(r"date header too old|date header in the request is incorrect|RequestDateHeader", re.IGNORECASE)
_LOGIN: Final = re.compile(r"\b(AADSTS(\d{3,9})):? ([^.\"\\\r\n]{1,200})")
_LOGIN_EXPIRED: Final = frozenset({"7000222", "700082", "70043"})
"""Of the client secret, and of tokens."""
_LOGIN_CLOCK: Final = frozenset({"700024", "500133"})
_LOGIN_BUSY: Final = frozenset({"90024", "90033"})


def refine(answer: Answer, text: str, *, anonymous: bool = False, expired: bool = False) -> Answer:
    """Tells apart what Azure answers with the same code.

    Args:
        text: all that was said.
        anonymous: there were no credentials that could be wrong.
        expired: the SAS token has had its time, which its own text says.
    """
    answer = answer._replace(message=answer.message.partition("RequestId:")[0].split("\n", 1)[0].strip())
    if answer.code == "AuthorizationFailure" and "failed to authenticate" in answer.message:  # Azurite's word for it
        answer = answer._replace(code=BAD_KEY)
    if answer.code in _OF_CREDENTIALS:
        if anonymous:
            return answer._replace(code="")
        if _CLOCK.search(text):
            return answer._replace(code=CLOCK)
        if expired:
            return answer._replace(code=EXPIRED, message="the SAS token's time is over")
    return answer


def refuse_client(status: int, text: str, retry_after: float = 0.0) -> Answer:
    """What the login service tells that gives no token.

    Args:
        status: 400, 401, 429 or above 499.
        text: the body of its answer.
        retry_after: seconds.
    """
    login = _LOGIN.search(text)
    message = f"{login[1]}: {login[3]}" if login else ""
    if status not in (400, 401):
        return Answer(status=status, message=message, retry_after=retry_after)
    known = {
        **dict.fromkeys(_LOGIN_EXPIRED, EXPIRED),
        **dict.fromkeys(_LOGIN_CLOCK, CLOCK),
        **dict.fromkeys(_LOGIN_BUSY, "ServerBusy"),
    }
    return Answer(status=status, code=known.get(login[2], BAD_KEY) if login else BAD_KEY, message=message, retry_after=retry_after)
