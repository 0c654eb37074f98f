from __future__ import annotations

import resource
from pathlib import Path

import pytest

from datums.transfer.journal import Committed, Done, Drop, Ended, Journal, Reserved, Started
from datums.transfer.outputs import Identity

IDENTITY = Identity(1, 2, 3, 4, 5)


def reopened(journal: Journal, path: Path) -> Journal:
    journal.close()
    return Journal(str(path))


def test_everything_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    first, second = journal.new_token("a"), journal.new_token("a")
    assert first != second
    journal.write(Drop(first))
    assert [journal.new_key("a"), journal.new_key("a"), journal.new_key("b")] == [0, 1, 0]
    done = Done("a", second, "key", "00", IDENTITY)
    for record in (Started(), Reserved("0" * 15), done, Ended(1.5), Committed(1, 3)):
        journal.write(record)
    journal = reopened(journal, path)
    assert (journal.started, journal.ended, journal.set, journal.committed) == (True, 1.5, "0" * 15, Committed(1, 3))
    assert journal.takes == {"a": [second]} and journal.done == {("a", second): done}
    assert journal.new_key("a") == 2, "a key that was begun is never given out again"
    assert journal.new_token("a") not in (first, second)
    journal.close()


def test_a_line_that_was_cut_short_is_dropped_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.write(Started())
    with path.open("ab") as stream:
        stream.write(b'{"type":"ended","at":1')
    journal = reopened(journal, path)
    assert journal.started and journal.ended is None
    journal.write(Ended(2.0))
    journal = reopened(journal, path)
    assert journal.ended == 2.0
    journal.close()


def test_a_full_volume_is_an_error_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.write(Started())
    size = path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="full"):
            journal.write(Ended(2.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.stat().st_size == size and journal.ended is None
    journal.write(Ended(3.0))
    journal = reopened(journal, path)
    assert journal.ended == 3.0
    journal.close()
