"""What `fetch` decides without a server: names, access, pins, documents."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datums.model.links import Pin, tree_digest
from datums.model.plan import InputPlan, StoreAccess
from datums.transfer.config_files import to_yaml
from datums.transfer.fetch_access import check_own, check_readable, may_match_readable
from datums.transfer.fetch_errors import FetchError
from datums.transfer.fetch_record import entries, pin
from datums.transfer.fetch_wanted import InputFiles, LinkFiles, Wanted, gather
from datums.transfer.workers import Workers


def _plan(**more: Any) -> InputPlan:
    return InputPlan(name="in", input_id="i", sources=[], **more)


def _link(*paths: str, link: str = "s3://b/*", **more: Any) -> LinkFiles:
    files = [Wanted(path=path, store="ns/st", key=f"raw/{path}", link=link, size=1, sha256=path * 3) for path in paths]
    return LinkFiles(link=link, files=files, **more)


@pytest.mark.parametrize(
    ("paths", "directories", "reason"),
    [
        (["a", "a/b"], [], "InputNameCollision"),
        (["a", "a/b/c/d"], [], "InputNameCollision"),
        (["a"], ["a"], "InputNameCollision"),
        (["a/../b"], [], "InvalidSpec"),
        (["a//b"], [], "InvalidSpec"),
        ([".."], [], "InvalidSpec"),
        (["nul\0"], [], "InvalidSpec"),
        (["é" * 128], [], "InvalidSpec"),
        (["/".join(["d" * 200] * 20)], [], "InvalidSpec"),
    ],
)
def test_names_that_cannot_be(paths: list[str], directories: list[str], reason: str) -> None:
    with pytest.raises(FetchError) as caught:
        gather(_plan(), [_link(*paths, directories=directories)])
    assert caught.value.reason == reason
    assert "input 'in'" in str(caught.value)


def test_names_that_can_be() -> None:
    loaded = gather(_plan(), [_link("a/b", "a/c", "ab", "é" * 127)])
    assert [wanted.path for wanted in loaded.files] == ["a/b", "a/c", "ab", "é" * 127]


def test_one_object_by_two_links_is_one_file() -> None:
    first, second = _link("a", link="s3://b/a"), _link("a", "b", link="s3://b/*")
    loaded = gather(_plan(), [first, second])
    assert len(loaded.files) == 2
    assert second.files[0] is first.files[0]


def test_two_objects_of_one_name_are_both_named() -> None:
    other = _link("a")
    other.files[0].key = "raw/other/a"
    with pytest.raises(FetchError, match=r"raw/a .*raw/other/a .*keepDirectories"):
        gather(_plan(), [_link("a"), other])


def test_filename_renames_one_file_only() -> None:
    assert gather(_plan(filename="x"), [_link("a")]).files[0].path == "x"
    assert [wanted.path for wanted in gather(_plan(filename="x"), [_link("a", "b")]).files] == ["a", "b"]


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
    ("fixed", "may"), [("", True), ("ra", True), ("raw/a", True), ("dat", True), ("datab", False), ("x", False), ("rawer", False)]
)
def test_listing_is_worth_it(fixed: str, may: bool) -> None:
    assert may_match_readable(ACCESS, "churn", fixed) is may


def test_pins() -> None:
    one, several, none = _link("a"), _link("a", "b"), _link()
    assert pin("in", one).pinned == "s3://b/*#sha256=aaa"
    tree = pin("in", several).pinned
    assert "#tree-sha256=" in tree
    assert "#tree-sha256=" in pin("in", none).pinned
    several.pin = Pin(tree_sha256=tree.rpartition("=")[2])
    assert pin("in", several).pinned == tree
    several.files[1].sha256 = "changed"
    with pytest.raises(FetchError) as caught:
        pin("in", several)
    assert caught.value.reason == "InputChanged"
    one.pin = Pin(sha256="other")
    with pytest.raises(FetchError):
        pin("in", one)
    datum = _link("a", link="datum://x")
    assert pin("in", datum).pinned == "datum://x"


def test_a_tree_pin_of_one_file_holds() -> None:
    tree = _link("a", pin=Pin(tree_sha256=tree_digest([("a", "aaa")])))
    assert "#tree-sha256=" in pin("in", tree).pinned


def test_the_manifest_is_sorted() -> None:
    link = _link("b", "a/c", "a")
    loaded = InputFiles(plan=_plan(), links=[link], files=link.files, directories=[])
    assert [entry.path for entry in entries([loaded])] == ["in/a", "in/a/c", "in/b"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_yaml_says_the_same_as_json(document: Any) -> None:
    assert yaml.safe_load(to_yaml(document)) == document


def test_workers_do_everything_and_stop_at_the_first_error() -> None:
    done: list[int] = []
    Workers(range(100), done.append, 4, threading.Event()).wait()
    assert sorted(done) == list(range(100))

    def fail(item: int) -> None:
        raise ValueError(item)

    stopped = threading.Event()
    workers = Workers(range(10**9), fail, 4, stopped)
    with pytest.raises(ValueError, match=r"^\d+$"):
        workers.wait()
    assert stopped.is_set()


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
