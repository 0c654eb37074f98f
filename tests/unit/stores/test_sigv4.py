"""The signature, against the example that the service's documentation works out."""

from __future__ import annotations

from datetime import UTC, datetime

from datums.stores.sigv4 import Signer, digest, headers, key_path, query_string

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


def test_the_documented_put() -> None:
    body = b"Welcome to Amazon S3."
    others = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
    path = f"/{key_path('test$file.text')}"
    host = "examplebucket.s3.amazonaws.com"
    signed = headers(SIGNER, "PUT", host, path, "", NOW, payload=digest(body), others=others)
    assert signed["authorization"].endswith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    assert signed["x-amz-storage-class"] == "REDUCED_REDUNDANCY"


def test_a_key_keeps_its_slashes() -> None:
    assert key_path("a b/c%2F+é~") == "a%20b/c%252F%2B%C3%A9~"
