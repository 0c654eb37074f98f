"""The signature, against the example that the service's documentation works out."""

from __future__ import annotations

from datetime import UTC, datetime

from datums.stores.sigv4 import Signer, digest, headers, query_string

# docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Bucket (List Objects)".
SIGNER = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1")
NOW = datetime(2013, 5, 24, tzinfo=UTC)


def test_the_documented_example() -> None:
    query = query_string({"prefix": "J", "max-keys": "2"})
    assert query == "max-keys=2&prefix=J"
    signed = headers(SIGNER, "GET", "examplebucket.s3.amazonaws.com", "/", query, NOW, payload=digest(b""), others={})
    assert signed["authorization"].endswith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_a_session_token_is_signed_and_sent() -> None:
    signed = headers(SIGNER._replace(session_token="token"), "GET", "h", "/", "", NOW, payload=digest(b""), others={})
    assert signed["x-amz-security-token"] == "token"
    assert "x-amz-security-token" in signed["authorization"]


def test_a_query_is_encoded_as_it_is_signed() -> None:
    assert query_string({"prefix": "a b/+%é~"}) == "prefix=a%20b%2F%2B%25%C3%A9~"
