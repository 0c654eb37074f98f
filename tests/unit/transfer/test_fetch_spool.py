"""The spool: what is wanted goes in, sorted streams come out, and a killed run's notes stay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from datums.transfer.fetch_database import discard
from datums.transfer.fetch_spool import Clash, Loaded, Spool
from datums.transfer.fetch_wanted import Wanted


def _file(path: str, *, key: str = "", size: int = 1, offset: int = 0) -> Wanted:
    return Wanted(path=path, store="s", key=key or f"raw/{path}", offset=offset, size=size)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path / "fetch.db", "plan", [["a", "b"], ["c"]])
    yield one
    one.close()


def _add(spool: Spool, number: int, position: int, *files: Wanted) -> None:
    with spool.link(number, position) as add:
        for file in files:
            spool.add_directory(number, file.path.rpartition("/")[0])
        add(files)


def test_a_million_paths_would_come_out_sorted_page_by_page(spool: Spool) -> None:
    _add(spool, 0, 0, *[_file(f"{n:04}") for n in reversed(range(2500))])
    _add(spool, 1, 0, *[_file("\U0001f600"), _file("\ufffd"), _file("a b")])
    assert [wanted.path for wanted in spool.of_input(0)] == [f"{n:04}" for n in range(2500)]
    assert [wanted.path for wanted in spool.of_input(1)] == sorted(["\U0001f600", "\ufffd", "a b"])
    assert spool.totals() == (2503, 2503)
    assert spool.stores() == [("s", 2503)]
    assert len(list(spool.alone("s", -2, 10))) == 2503


def test_one_object_by_two_links_is_one_file_of_both(spool: Spool) -> None:
    _add(spool, 0, 0, _file("x"), _file("y"))
    _add(spool, 0, 1, _file("y"), _file("y"))
    spool.resolved()
    assert [path for path, _, _ in spool.of_link(0, 0)] == ["x", "y"]
    assert [path for path, _, _ in spool.of_link(0, 1)] == ["y"]
    assert spool.totals()[0] == 2


def test_two_objects_of_one_name_are_both_named_and_nothing_of_the_link_stays(spool: Spool) -> None:
    _add(spool, 0, 0, _file("x"))
    with pytest.raises(Clash) as caught, spool.link(0, 1) as add:
        add([_file("w"), _file("x", key="other")])
    assert (caught.value.one.key, caught.value.other.key) == ("raw/x", "other")
    assert [wanted.path for wanted in spool.of_input(0)] == ["x"]


def test_two_objects_of_one_name_in_one_batch(spool: Spool) -> None:
    with pytest.raises(Clash), spool.link(0, 0) as add:
        add([_file("x", key="1"), _file("x", key="2")])


@pytest.mark.parametrize(("paths", "nested"), [(["a", "a-b", "a/b/c"], ("a", "a/b/c")), (["a/b", "ab", "a/c"], None)])
def test_a_file_where_a_directory_is_needed(spool: Spool, paths: list[str], nested: tuple[str, str] | None) -> None:
    _add(spool, 0, 0, *[_file(path) for path in paths])
    found = spool.nested(0)
    assert (found and (found[0].path, found[1] and found[1].path)) == nested
    assert spool.nested(1) is None


def test_a_file_where_an_empty_directory_is(spool: Spool) -> None:
    _add(spool, 0, 0, _file("d"))
    with spool.transaction():
        spool.add_directory(0, "d", empty=True)
    found = spool.nested(0)
    assert found
    assert (found[0].path, found[1]) == ("d", None)


def test_directories_come_after_those_above_them(spool: Spool) -> None:
    _add(spool, 0, 0, _file("b/c/d/e"), _file("b/x"), _file("a/y"))
    assert list(spool.directories()) == [(0, "a"), (0, "b"), (0, "b/c"), (0, "b/c/d")]


def test_filename_renames_a_single_object_only(spool: Spool) -> None:
    _add(spool, 0, 0, _file("d/x", key="k"))
    _add(spool, 0, 1, _file("e/x", key="k"))
    _add(spool, 1, 0, _file("x"), _file("y"))
    assert spool.rename_single(0, "new")
    assert not spool.rename_single(1, "new")
    assert [wanted.path for wanted in spool.of_input(0)] == ["new"]
    assert list(spool.directories()) == []
    spool.resolved()
    for position in (0, 1):
        assert [path for path, _, _ in spool.of_link(0, position)] == ["new"]


def test_packed_files_come_by_key_and_offset(spool: Spool) -> None:
    files = [_file("a", key="p2", offset=512), _file("b", key="p1", offset=2048), _file("c", key="p1", offset=512), _file("d")]
    empty, large = _file("e", key="p1", offset=4096, size=0), _file("f", key="p1", offset=8192, size=5 << 20)
    _add(spool, 0, 0, *files, empty, large)
    spool.resolved()
    assert [wanted.path for wanted in spool.packed("s")] == ["c", "b", "a"]
    assert [wanted.path for wanted in spool.alone("s", -2, 1 << 60)] == ["d", "e", "f"]


def test_packed_files_of_two_inputs_do_not_alternate(spool: Spool) -> None:
    for number in (0, 1):
        _add(spool, number, 0, _file("a", key="p", offset=512), _file("b", key="p", offset=1024))
    spool.resolved()
    assert [(wanted.input, wanted.offset) for wanted in spool.packed("s")] == [(0, 512), (0, 1024), (1, 512), (1, 1024)]


def test_what_a_killed_run_has_noted_stays(tmp_path: Path) -> None:
    first = Spool(tmp_path / "fetch.db", "plan", [["a"]])
    _add(first, 0, 0, _file("x"), _file("y"), _file("z"))
    first.resolved()
    first.mark([Loaded(1, 7, "digest", '"e"', {"k": "v"}), Loaded(2, 0, "", absent=True)])
    first.close()
    again = Spool(tmp_path / "fetch.db", "plan", [["a"]])
    assert again.is_resolved
    x, z = again.of_input(0)
    assert (x.loaded, x.size, x.sha256, x.etag, x.metadata) == (True, 7, "digest", '"e"', {"k": "v"})
    assert (z.path, z.loaded) == ("z", False)
    again.close()
    other = Spool(tmp_path / "fetch.db", "another plan", [["a"]])
    assert (other.is_resolved, other.totals()) == (False, (0, 0))
    other.close()


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100])
def test_a_broken_or_unfinished_spool_is_thrown_away(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "fetch.db"
    path.write_bytes(damage)
    spool = Spool(path, "plan", [["a"]])
    assert not spool.is_resolved
    spool.close()
    discard(path)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_link_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(ValueError, match="listing"), spool.link(0, 0) as add:
        add([_file("x")])
        raise ValueError("the listing broke off")
    assert spool.totals() == (0, 0)
    _add(spool, 0, 0, _file("x"))
    assert spool.totals() == (1, 1)
