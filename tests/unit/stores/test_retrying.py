"""A store that fails in between, which no real one does when it is asked to."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest

from datums.stores import errors
from datums.stores.listing import Paged
from datums.stores.protocol import ObjectInfo
from datums.stores.retrying import RetryingStore


class Flaky:
    """Keeps objects in memory. `failures` come first, each instead of an answer; `late` ones after the work is done."""

    name, prefix, conditional_put, parts_in_order = "a/b", "d", True, False

    def __init__(self, failures: list[errors.StoreError] = [], late: list[errors.StoreError] = []) -> None:  # noqa: B006
        self.failures, self.late = list(failures), list(late)
        self.objects: dict[str, bytes] = {"x": b"bytes"}
        self.calls = 0

    def _call(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)

    def uri(self, key: str) -> str:
        return f"mem://{key}"

    def part_size(self, size: int) -> int:
        return 4

    def get(self, key: str, limit: int = 0) -> bytes:
        self._call()
        return self.objects[key]

    def stream(self, key: str, *_: Any, **__: Any) -> Iterator[bytes]:
        self._call()
        yield self.objects[key][:2]
        self._call()
        yield self.objects[key][2:]

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        self._call()
        if if_absent and key in self.objects:
            raise errors.AlreadyExists("taken")
        self.objects[key] = bytes(data)
        if self.late:
            raise self.late.pop(0)

    def begin_upload(self, key: str) -> str:
        self._call()
        return "upload"

    def put_part(self, key: str, upload: str, number: int, data: bytes, *, offset: int, size: int) -> str:
        self._call()
        return bytes(data).decode()

    def finish_upload(self, key: str, upload: str, tags: list[str]) -> None:
        self._call()
        self.objects[key] = "".join(tags).encode()

    def abort_upload(self, key: str, upload: str) -> None:
        self._call()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        def page(token: str) -> tuple[list[ObjectInfo], str]:
            self._call()
            return [ObjectInfo(f"key{token}", 1, "", 0.0)], str(int(token or 0) + 1) if token != "3" else ""

        return Paged(page, lambda: errors.StoreError("again"))

    def pending_uploads(self, prefix: str) -> Iterator[Any]:
        yield "one"
        self._call()
        yield "two"


def retrying(flaky: Flaky, waited: list[float] | None = None) -> RetryingStore:
    return RetryingStore(flaky, sleep=(waited if waited is not None else []).append)  # type: ignore[arg-type]


BROKEN = errors.Unavailable("broken")


def test_a_failure_that_may_pass_is_waited_for() -> None:
    waited: list[float] = []
    assert retrying(Flaky([BROKEN, BROKEN, BROKEN]), waited).get("x") == b"bytes"
    assert len(waited) == 3
    assert waited == sorted(waited)
    with pytest.raises(errors.Unavailable):
        retrying(Flaky([BROKEN] * 4)).get("x")


def test_a_failure_that_stays_is_told_at_once() -> None:
    flaky = Flaky([errors.AccessDenied("no")])
    with pytest.raises(errors.AccessDenied):
        retrying(flaky).get("x")
    assert flaky.calls == 1


def test_a_wait_that_the_service_asks_for_is_kept_within_bounds() -> None:
    waited: list[float] = []
    retrying(Flaky([errors.Throttled("slow", retry_after=3.0), errors.Throttled("slow", retry_after=3600.0)]), waited).get("x")
    assert waited == [3.0, 10.0]


def test_a_list_loses_nothing() -> None:
    keys = ["key", "key1", "key2", "key3"]
    assert [found.key for found in retrying(Flaky([BROKEN])).list()] == keys
    flaky = Flaky()
    found = retrying(flaky).list()
    first = next(found).key
    flaky.failures = [BROKEN, BROKEN]
    assert [first, *(each.key for each in found)] == keys


def test_a_generator_that_failed_is_not_taken_for_one_that_ended() -> None:
    flaky = Flaky([BROKEN])
    found = retrying(flaky).pending_uploads("")
    assert next(found) == "one"
    with pytest.raises(errors.Unavailable):
        next(found)


def test_a_stream_is_begun_again_but_not_gone_on_with() -> None:
    assert b"".join(retrying(Flaky([BROKEN])).stream("x")) == b"bytes"
    flaky = Flaky()
    chunks = retrying(flaky).stream("x")
    assert next(chunks) == b"by"
    flaky.failures = [BROKEN]
    with pytest.raises(errors.Unavailable):
        next(chunks)


def test_a_write_whose_answer_was_lost_is_recognised() -> None:
    flaky = Flaky(late=[BROKEN])
    retrying(flaky).put("new", b"data", if_absent=True)
    assert flaky.objects["new"] == b"data"
    with pytest.raises(errors.AlreadyExists):
        retrying(Flaky()).put("x", b"bytes", if_absent=True)
    other = Flaky([BROKEN])
    with pytest.raises(errors.AlreadyExists):
        retrying(other).put("x", b"another's", if_absent=True)


def test_each_part_of_a_file_has_its_tries() -> None:
    flaky = Flaky([BROKEN, BROKEN])
    retrying(flaky).put_file("file", io.BytesIO(b"0123456789"), 10)
    assert flaky.objects["file"] == b"0123456789"
