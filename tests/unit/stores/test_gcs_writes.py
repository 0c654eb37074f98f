"""Writing by Google's JSON API where Google says what no server here says: parts kept in part, sessions that have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.answers import Answer, classify, target_of
from datums.stores.checksums import as_base64, crc32c
from datums.stores.gcs_codes import GCS_CODES
from datums.stores.gcs_json import Fail, JsonAPI
from datums.stores.gcs_writes import Writes
from datums.stores.wire import Reply

ACCESS = StoreAccess(kind="gcs", name="platform/ml", bucket="acme", prefix="datums", anonymous=True)
SESSION = "https://storage.googleapis.com/upload/storage/v1/b/acme/o?upload_id=1"


class Scripted(JsonAPI):
    """Gives the answers of a script, and keeps what it was sent."""

    def __init__(self, *replies: Reply) -> None:
        super().__init__(ACCESS, None)
        self.replies = list(replies)
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []

    def send(
        self,
        method: str,
        target: str,
        fail: Fail,
        *,
        body: Any = b"",
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        expected: tuple[int, ...] = (200, 204),
    ) -> Reply:
        self.sent.append((method, target, dict(headers or {})))
        reply = self.replies.pop(0)
        if reply.status not in expected:
            raise fail(Answer(status=reply.status))
        return reply


def writes(*replies: Reply) -> tuple[Writes, Scripted]:
    api = Scripted(*replies)
    target = target_of(ACCESS)

    def fail(key: str, doing: str, missing: str) -> Fail:
        return lambda answer: classify(answer, target._replace(key=key), doing, GCS_CODES)

    return Writes(api, fail, lambda key: target._replace(key=key)), api


def kept(upto: int) -> Reply:
    return Reply(308, {"range": f"bytes=0-{upto - 1}"} if upto else {}, b"")


def made(data: bytes) -> Reply:
    body = {"size": str(len(data)), "crc32c": as_base64(crc32c(data)), "generation": "7"}
    return Reply(200, {}, msgspec.json.encode(body))


def test_a_part_says_where_it_belongs() -> None:
    write, api = writes(kept(8))
    write.put_part("x", SESSION, b"1234", 4, 12)
    method, target, headers = api.sent[0]
    assert (method, target) == ("PUT", "/upload/storage/v1/b/acme/o?upload_id=1")
    assert headers["content-range"] == "bytes 4-7/12"


def test_an_object_of_nothing_in_parts() -> None:
    write, api = writes(made(b""))
    write.put_part("x", SESSION, b"", 0, 0)
    assert api.sent[0][2]["content-range"] == "bytes */0"


@pytest.mark.parametrize("reply", [kept(6), kept(4)])
def test_a_part_of_which_not_all_was_kept_is_sent_again(reply: Reply) -> None:
    write, _ = writes(reply)
    with pytest.raises(errors.Unavailable, match="was kept up to byte"):
        write.put_part("x", SESSION, b"1234", 4, 12)


def test_a_part_that_was_sent_before_is_none_too_many() -> None:
    write, _ = writes(kept(12))
    assert write.put_part("x", SESSION, b"1234", 4, 16)


@pytest.mark.parametrize("reply", [kept(0), kept(3), Reply(404, {}, b"")])
def test_an_upload_that_lost_what_it_had_begins_anew(reply: Reply) -> None:
    write, _ = writes(reply)
    with pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, b"1234", 4, 12)


def test_the_last_part_is_not_the_end_while_google_waits_for_more() -> None:
    write, _ = writes(kept(8))
    with pytest.raises(errors.Unavailable):
        write.put_part("x", SESSION, b"1234", 4, 8)


def test_a_lost_answer_to_the_last_part_is_found_out() -> None:
    data = b"12345678"
    write, _ = writes(kept(4), Reply(404, {}, b""), made(data), made(data))
    tags = [write.put_part("x", SESSION, data[:4], 0, 8), write.put_part("x", SESSION, data[4:], 4, 8)]
    write.compare("x", tags)

    write, _ = writes(Reply(404, {}, b""), made(b"another"))
    with pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, data[4:], 4, 8)

    write, _ = writes(Reply(404, {}, b""), Reply(404, {}, b""))
    with pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, data[4:], 4, 8)


def test_what_is_no_session_or_no_object_is_another_protocol() -> None:
    write, _ = writes(Reply(200, {}, b"<html></html>"), Reply(200, {}, b"<html></html>"), Reply(200, {}, b"{}"))
    with pytest.raises(errors.EndpointUnreachable, match="does not answer as Google Cloud Storage does"):
        write.begin("x")
    for _ in range(2):
        with pytest.raises(errors.EndpointUnreachable, match="does not answer as Google Cloud Storage does"):
            write.compare("x", ["00000000:0"])


def test_what_arrived_otherwise_is_removed_by_its_generation() -> None:
    write, api = writes(made(b"other"), Reply(204, {}, b""))
    with pytest.raises(errors.Unavailable, match="arrived other than it was sent"):
        write.put("x", b"bytes", if_absent=True)
    assert api.sent[1][:2] == ("DELETE", "/storage/v1/b/acme/o/x?generation=7")
