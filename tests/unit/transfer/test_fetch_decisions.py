"""What `fetch` decides without a server: names, access, pins, documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datums.model.links import NO_PIN, Pin, TreeDigest
from datums.model.manifest import Entry
from datums.model.plan import InputPlan, ObjectsSource, StoreAccess
from datums.transfer.config_files import long_document, to_yaml
from datums.transfer.fetch_access import check_own, check_readable, may_match_readable
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_record import Summing, pin, record
from datums.transfer.fetch_wanted import Wanted, check_name, last_of_each_path, parents
from datums.transfer.flights import Flight, Flights
from datums.transfer.workers import Stopped, Workers, one_by_one


@pytest.mark.parametrize("path", ["a/../b", "a//b", "..", "", "a/", "nul\0", "é" * 128, "/".join(["d" * 200] * 20)])
def test_names_that_cannot_be(path: str) -> None:
    with pytest.raises(FetchError) as caught:
        check_name("in", path, lambda: "the object")
    assert caught.value.reason == "InvalidSpec"
    assert "input 'in': the object" in str(caught.value)


@pytest.mark.parametrize("path", ["a/b", "ab", "é" * 127, "x" * 255, "/".join(["d" * 200] * 17)])
def test_names_that_can_be(path: str) -> None:
    check_name("in", path, lambda: "the object")


def test_the_last_file_of_a_path_counts() -> None:
    saved = [Entry(path="a", size=1), Entry(path="a", size=2, sequence=1), Entry(path="b", size=3)]
    assert [entry.size for entry in last_of_each_path(saved)] == [2, 3]
    assert list(last_of_each_path([])) == []


def test_the_directories_that_a_path_needs() -> None:
    assert list(parents("a/b/c")) == ["a/b", "a"]
    assert list(parents("a")) == []


ACCESS = StoreAccess(name="platform/ml", bucket="b", prefix="datums", readable=["raw/"])


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("raw/x", ""),
        ("datums/projects/churn/x", ""),
        ("raw", "AccessDenied"),
        ("raw-secret/x", "AccessDenied"),
        ("datums/projects/churn-2/x", "NotShared"),
        ("datums/projects/", "NotShared"),
        ("datums/projects/churn/../other/x", "NotShared"),
        ("raw/../other", "AccessDenied"),
        ("raw/a\\..\\..\\other", "AccessDenied"),
        ("other", "AccessDenied"),
    ],
)
def test_who_may_read_what(key: str, reason: str) -> None:
    if not reason:
        check_readable(ACCESS, "churn", key, "input 'x'")
        return
    with pytest.raises(FetchError) as caught:
        check_readable(ACCESS, "churn", key, "input 'x'")
    assert caught.value.reason == reason


def test_a_store_that_is_open_is_not_open_for_other_projects() -> None:
    access = StoreAccess(name="platform/ml", bucket="b", prefix="", readable=[""])
    check_readable(access, "churn", "anything", "")
    with pytest.raises(FetchError, match="another project"):
        check_readable(access, "churn", "projects/other/x", "")


@pytest.mark.parametrize(
    "key", ["projects\\other\\x", "/projects/other/x", "projects//other/x", "./projects/other/x", "projects/./other/x"]
)
def test_a_key_that_some_services_read_as_another_projects_opens_nothing(key: str) -> None:
    access = StoreAccess(name="platform/ml", bucket="b", prefix="", readable=[""])
    with pytest.raises(FetchError, match="another project"):
        check_readable(access, "churn", key, "")
    check_readable(access, "churn", key.replace("projects", "elsewhere"), "")


@pytest.mark.parametrize("key", ["./data/projects/other/x", "data/projects/other/x", "./data/projects/../projects/other/x"])
def test_a_prefix_that_some_services_read_otherwise_keeps_projects_apart(key: str) -> None:
    access = StoreAccess(name="platform/ml", bucket="b", prefix="./data", readable=[""])
    with pytest.raises(FetchError, match="another project"):
        check_readable(access, "churn", key, "")
    check_readable(access, "churn", "./data/projects/churn/x", "")


@pytest.mark.parametrize(
    ("fixed", "may"), [("", True), ("ra", True), ("raw/a", True), ("dat", True), ("datab", False), ("x", False), ("rawer", False)]
)
def test_listing_is_worth_it(fixed: str, may: bool) -> None:
    assert may_match_readable(ACCESS, "churn", fixed) is may


def _source(link: str = "s3://b/*", pin: Pin = NO_PIN) -> ObjectsSource:
    return ObjectsSource(link=link, store="ns/st", pattern="*", pin=pin)


def _sum(*files: tuple[str, int, str]) -> Summing:
    summing = Summing()
    for path, size, sha256 in files:
        summing.add(path, size, sha256)
    return summing


def test_pins() -> None:
    one, several = _sum(("a", 1, "aaa")), _sum(("a", 1, "aaa"), ("b", 2, "bbb"))
    assert pin("in", _source(), one).pinned == "s3://b/*#sha256=aaa"
    pinned = pin("in", _source(), several)
    assert (pinned.files, pinned.bytes) == (2, 3)
    assert "#tree-sha256=" in pinned.pinned
    assert "#tree-sha256=" in pin("in", _source(), _sum()).pinned
    promised = _source(pin=Pin(tree_sha256=pinned.pinned.rpartition("=")[2]))
    assert pin("in", promised, several).pinned == pinned.pinned
    with pytest.raises(FetchError) as caught:
        pin("in", promised, _sum(("a", 1, "aaa"), ("b", 2, "changed")))
    assert caught.value.reason == "InputChanged"
    with pytest.raises(FetchError):
        pin("in", _source(pin=Pin(sha256="other")), one)
    assert pin("in", _source("datum://x"), one).pinned == "datum://x"


def test_a_tree_pin_of_one_file_holds() -> None:
    digest = TreeDigest()
    digest.add("a", "aaa")
    source = _source(pin=Pin(tree_sha256=digest.hexdigest()))
    assert "#tree-sha256=" in pin("in", source, _sum(("a", 1, "aaa"))).pinned


def _plan(name: str) -> InputPlan:
    return InputPlan(name=name, input_id="i", sources=[])


def _wanted(path: str, **more: Any) -> Wanted:
    return Wanted(path=path, store="ns/st", key=f"raw/{path}", link="s3://b/*", size=1, sha256="s", **more)


def test_the_manifest_is_sorted_by_whole_paths() -> None:
    inputs = [(_plan("in"), [_wanted("a"), _wanted("a/c")]), (_plan("in-2"), [_wanted("a", etag='"e"', version="7")])]
    written = list(record(inputs, str, lambda *_: None))
    assert [entry.path for entry in written] == sorted(["in/a", "in/a/c", "in-2/a"])
    assert written[0].metadata == {"etag": '"e"', "version": "7"}


_MANY = [_wanted(f"{n:04}") for n in range(500)]
_LAST = _wanted("z", datum="d", metadata={"rate": 1e-7})


@pytest.mark.parametrize("files", [[], [[]], [[_wanted("a")], [_wanted("b"), _wanted("c\x85d")]], [[*_MANY, _LAST], _MANY]])
def test_the_document_in_pieces_is_one_document(tmp_path: Path, files: list[list[Wanted]]) -> None:
    inputs = [(_plan(f"in{n}"), one) for n, one in enumerate(files)]
    with long_document(tmp_path, "inputs") as write:
        entries = list(record(inputs, lambda wanted: wanted.key, write))
    assert [entry.path for entry in entries] == [f"in{n}/{one.path}" for n, of in enumerate(files) for one in of]
    document = json.loads((tmp_path / "inputs.json").read_text())
    assert [[file["name"] for file in of["files"]] for of in document.values()] == [[one.path for one in of] for of in files]
    assert yaml.safe_load((tmp_path / "inputs.yaml").read_text()) == document


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_yaml_says_the_same_as_json(document: Any) -> None:
    assert yaml.safe_load(to_yaml(document)) == document


def _workers(take: Any, work: Any, stopped: Stopped, flights: Flights, threads: int = 4) -> Workers[int]:
    return Workers(take, work, str, threads=threads, flights=flights, stopped=stopped)


def test_workers_do_everything_and_stop_at_the_first_error() -> None:
    done: list[int] = []
    _workers(one_by_one(iter(range(100))), lambda item, _: done.append(item), Stopped(), Flights()).wait()
    assert sorted(done) == list(range(100))

    def fail(item: int, flight: Flight) -> None:
        raise ValueError(item)

    stopped = Stopped()
    workers = _workers(one_by_one(iter(range(10**9))), fail, stopped, Flights())
    with pytest.raises(ValueError, match=r"^\d+$"):
        workers.wait()
    assert stopped.is_set()


def test_what_came_first_is_what_went_wrong() -> None:
    stopped = Stopped()
    stopped.check()
    for text in ("first", "second"):
        stopped.fail(ValueError(text))
        assert stopped.is_set()
    for _ in range(2):
        with pytest.raises(ValueError, match="first"):
            stopped.check()


def test_work_that_is_called_off_ends_without_an_error() -> None:
    stopped, done = Stopped(), list[int]()

    def work(item: int, flight: Flight) -> None:
        done.append(item)
        stopped.set()

    _workers(one_by_one(iter(range(10**9))), work, stopped, Flights()).wait()
    assert 1 <= len(done) <= 4


def test_what_datums_wrote_by_a_neighbour_in_the_same_bucket_is_as_closed() -> None:
    access = StoreAccess(name="ns/s", bucket="b", prefix="mine", readable=[""], neighbours=["theirs"])
    check_readable(access, "churn", "theirs/projects/churn/x", "")
    with pytest.raises(FetchError) as caught:
        check_readable(access, "churn", "theirs/projects/other/x", "input 'x'")
    assert caught.value.reason == "NotShared"


@pytest.mark.parametrize(
    "key", ["datums/projects/other/x", "raw/x", "datums/projects/churn/../other/x", "datums/projects/churn-2/x"]
)
def test_a_datum_opens_nothing_that_is_not_its_own_projects(key: str) -> None:
    access = StoreAccess(name="ns/s", bucket="b", prefix="datums", readable=[""])
    check_own(access, "churn", "datums/projects/churn/x", "")
    with pytest.raises(FetchError, match="not what Datums saved for namespace churn") as caught:
        check_own(access, "churn", key, "input 'x'")
    assert caught.value.reason == "NotShared"
