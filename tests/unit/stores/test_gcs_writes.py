"""Writing by Google's JSON API where Google says what no server here says: parts kept in part, sessions that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from datums.model.plan import StoreAccess
from datums.stores import errors
from datums.stores.checksums import as_base64, crc32c
from datums.stores.gcs import GCSStore
from datums.stores.gcs_requests import GCSRequests
from datums.stores.gcs_writes import Writes
from datums.stores.wire import Reply
from tests.unit.stores.scripted import Say, Scripted, serving

SESSION = "https://storage.googleapis.com/upload/storage/v1/b/acme/o?upload_id=1"


@contextmanager
def writes(*answers: Say) -> Iterator[tuple[Writes, Scripted]]:
    with serving(*answers) as script:
        access = StoreAccess(kind="gcs", name="platform/ml", bucket="acme", prefix="datums", anonymous=True, endpoint=script.url)
        yield GCSRequests(access, GCSStore(access, {}), None).writes, script


def kept(upto: int) -> Say:
    return Say(308, b"", {"Range": f"bytes=0-{upto - 1}"} if upto else {})


def made(data: bytes) -> Say:
    body = {"size": str(len(data)), "crc32c": as_base64(crc32c(data)), "generation": "7"}
    return Say(200, msgspec.json.encode(body))


def test_a_part_says_where_it_belongs() -> None:
    with writes(kept(8)) as (write, script):
        write.put_part("x", SESSION, b"1234", 4, 12)
        assert script.asked[0][:2] == ("PUT", "/upload/storage/v1/b/acme/o?upload_id=1")
        assert script.asked[0].headers["content-range"] == "bytes 4-7/12"


def test_an_object_of_nothing_in_parts() -> None:
    with writes(made(b"")) as (write, script):
        write.put_part("x", SESSION, b"", 0, 0)
        assert script.asked[0].headers["content-range"] == "bytes */0"


@pytest.mark.parametrize("answer", [kept(6), kept(4)])
def test_a_part_of_which_not_all_was_kept_is_sent_again(answer: Say) -> None:
    with writes(answer) as (write, _), pytest.raises(errors.Unavailable, match="was kept up to byte"):
        write.put_part("x", SESSION, b"1234", 4, 12)


def test_a_part_that_was_sent_before_is_none_too_many() -> None:
    with writes(kept(12)) as (write, _):
        assert write.put_part("x", SESSION, b"1234", 4, 16)


@pytest.mark.parametrize("answer", [kept(0), kept(3), Say(404), Say(410), Say(410, b"Gone"), Say(499)])
def test_an_upload_that_lost_what_it_had_begins_anew(answer: Say) -> None:
    with writes(answer) as (write, _), pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, b"1234", 4, 12)


def test_the_last_part_is_not_the_end_while_google_waits_for_more() -> None:
    with writes(kept(8)) as (write, _), pytest.raises(errors.Unavailable):
        write.put_part("x", SESSION, b"1234", 4, 8)


def test_a_lost_answer_to_the_last_part_is_found_out() -> None:
    data = b"12345678"
    with writes(kept(4), Say(404), made(data), made(data)) as (write, _):
        tags = [write.put_part("x", SESSION, data[:4], 0, 8), write.put_part("x", SESSION, data[4:], 4, 8)]
        write.compare("x", tags)
    with writes(Say(404), made(b"another")) as (write, _), pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, data[4:], 4, 8)
    with writes(Say(404), Say(404)) as (write, _), pytest.raises(errors.NotFound, match="must begin anew"):
        write.put_part("x", SESSION, data[4:], 4, 8)


def test_what_is_no_session_or_no_object_is_another_protocol() -> None:
    with writes(Say(200, b"<html></html>"), Say(200, b"<html></html>"), Say(200, b"{}")) as (write, _):
        with pytest.raises(errors.EndpointUnreachable, match="does not answer as Google Cloud Storage does"):
            write.begin("x")
        for _ in range(2):
            with pytest.raises(errors.EndpointUnreachable, match="does not answer as Google Cloud Storage does"):
                write.compare("x", ["00000000:0"])


def test_what_arrived_otherwise_is_removed_by_its_generation() -> None:
    with writes(Say(204)) as (write, script):
        request = write.request("x", b"bytes", if_absent=True)
        with pytest.raises(errors.Unavailable, match="arrived other than it was sent"):
            write.written(request, made_reply(b"other"), "x")
        assert script.asked[-1][:2] == ("DELETE", "/storage/v1/b/acme/o/x?generation=7")


def made_reply(data: bytes) -> Reply:
    return Reply(200, {}, bytearray(made(data).body))
