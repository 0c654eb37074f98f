"""The cache: newest version first, whoever brings it."""

from __future__ import annotations

from typing import Any

import pytest

from datums.control.cache import Cache, Obj, owner_of, resource_version, trimmed

NAME = ("ns", "x")


def body(version: str = "5", uid: str = "u1", **fields: Any) -> Obj:
    return {"kind": "Execution", "metadata": {"namespace": "ns", "name": "x", "uid": uid, "resourceVersion": version}, **fields}


def pod(name: str, execution: str = "e1", version: str = "1", uid: str = "") -> Obj:
    reference = {"apiVersion": "datums.dev/v1alpha1", "kind": "Execution", "name": f"name-{execution}", "uid": execution}
    meta = {
        "namespace": "ns",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": version,
        "ownerReferences": [reference],
    }
    return {"kind": "Pod", "metadata": meta}


@pytest.mark.parametrize(
    ("then", "taken"),
    [
        (body("6"), True),
        (body("5"), True),
        (body("4"), False),
        (body("10"), True),
        (body("6", uid="u2"), True),
        (body("4", uid="u2"), False),
        (body("not a number"), False),
    ],
    ids=["newer", "the same", "older", "numbers, not text", "another of that name", "one of before", "cannot be compared"],
)
def test_the_newer_wins(then: Obj, taken: bool) -> None:
    table = Cache().executions
    assert table.put(body("5"))
    assert table.put(then) is taken
    expected = then if taken else body("5")
    assert table[NAME]["metadata"]["resourceVersion"] == expected["metadata"]["resourceVersion"]


def test_versions_that_cannot_be_compared_are_taken_as_they_come() -> None:
    table = Cache().executions
    table.put(body("a"))
    assert table.put(body("b"))
    assert table[NAME]["metadata"]["resourceVersion"] == "b"


def test_a_late_answer_does_not_bring_back_what_is_gone() -> None:
    table = Cache().executions
    table.put(body("5"))
    assert table.remove(NAME, "u1")
    assert not table.put(body("6"))
    assert table.put(body("7", uid="u2")), "another of that name is another object"


def test_a_late_deletion_does_not_take_the_next_of_that_name() -> None:
    table = Cache().executions
    table.put(body("7", uid="u2"))
    assert not table.remove(NAME, "u1")
    assert NAME in table


def test_tombstones_are_bounded() -> None:
    table = Cache().executions
    for n in range(10_000):
        table.remove(NAME, f"u{n}")
    assert len(table._gone) == 4096


def test_what_nobody_reads_is_left_out_and_the_original_stays_whole() -> None:
    meta = {"namespace": "ns", "name": "x", "managedFields": [1]}
    given = {"metadata": {**meta, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}}
    assert trimmed(given)["metadata"] == {"namespace": "ns", "name": "x", "annotations": {"a": "b"}}
    assert "managedFields" in given["metadata"]


def test_ghosts_are_what_a_newer_list_does_not_have() -> None:
    table = Cache().executions
    table.put(body("5"))
    assert table.ghosts({}, 9) == [NAME]
    assert table.ghosts({NAME: "u1"}, 9) == []
    assert table.ghosts({NAME: "u2"}, 9) == [NAME], "another of that name"
    assert table.ghosts({}, 4) == [], "made after the list"
    assert table.ghosts({}, 9, ("other",)) == [], "not in the namespaces of the list"


def test_pods_are_found_by_their_execution_and_their_uid() -> None:
    pods = Cache().pods
    pods.put(pod("a"))
    pods.put(pod("b"))
    pods.put(pod("c", execution="e2"))
    assert {view.name for view in pods.of("e1")} == {"a", "b"}
    assert pods.named("uid-c") == ("ns", "c")
    assert (owner := pods.owner(("ns", "c"))) is not None and (owner.name, owner.uid) == ("name-e2", "e2")
    pods.remove(("ns", "a"), "uid-a")
    assert [view.name for view in pods.of("e1")] == ["b"]
    assert pods.named("uid-a") is None


def test_a_pod_of_the_same_name_takes_the_place_in_every_index() -> None:
    pods = Cache().pods
    pods.put(pod("a", execution="e1", version="1", uid="u1"))
    pods.put(pod("a", execution="e2", version="2", uid="u2"))
    assert pods.of("e1") == []
    assert pods.named("u1") is None
    assert pods.named("u2") == ("ns", "a")
    assert not pods.put(pod("a", execution="e1", version="1", uid="u1"))
    assert pods.named("u2") == ("ns", "a")


def test_an_owner_of_another_kind_or_group_is_none_of_ours() -> None:
    for api, kind in (("batch/v1", "Job"), ("other.dev/v1", "Execution"), ("datums.dev/v1alpha1", "DataStore")):
        assert owner_of({"metadata": {"ownerReferences": [{"apiVersion": api, "kind": kind, "name": "n", "uid": "u"}]}}) is None


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("", 0), (None, 0), ("abc", 0), ("-1", 0)])
def test_resource_versions(text: str | None, number: int) -> None:
    assert resource_version(text) == number
