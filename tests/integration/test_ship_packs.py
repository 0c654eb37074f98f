"""`ship` and many small files: packs, as anybody can read them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.ship_kit import Pods, ShipPod, problems, run_to_commit, wait_for, write


def keys(pod: ShipPod) -> set[str]:
    return {item.key.removeprefix(pod.prefix).partition("/")[0] for item in pod.store.list(pod.prefix)}


def small_files(pod: ShipPod, count: int, mode: int = 0o644) -> dict[tuple[str, int], bytes]:
    data = {f"d{n % 7}/ünï {n}": b"%d" % n * (n % 50) for n in range(count)}
    for path, content in data.items():
        write(pod, path, content, mode)
    return {(path, 0): content for path, content in data.items()}


def test_many_small_files_are_one_tar_that_anybody_can_read(pod: ShipPod, tmp_path: Path) -> None:
    expected = small_files(pod, 500)
    write(pod, "large", bytes((1 << 20) + 1))
    outcome = run_to_commit(pod).outputs
    assert (outcome.files, outcome.refused) == (501, 0)
    assert pod.contents() == expected | {("large", 0): bytes((1 << 20) + 1)}
    store = pod.store
    packs = [item.key for item in store.list(f"{pod.prefix}packs/")]
    assert packs == [f"{pod.prefix}packs/0.tar"] and keys(pod) >= {"files", "packs"}
    subprocess.run(["tar", "-xf", "-", "-C", tmp_path], input=store.get(packs[0]), check=True)
    assert {(str(path.relative_to(tmp_path)), 0): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == expected
    assert len({entry.datum for entry in pod.entries()}) == 501
    in_packs = [entry for entry in pod.entries() if entry.location and entry.location.offset]
    assert {entry.path for entry in in_packs} == {path for path, _ in expected}


@pytest.mark.parametrize(("count", "packs"), [(3, "Auto"), (63, "Auto"), (100, "Never")])
def test_few_files_or_never(pods: Pods, count: int, packs: str) -> None:
    pod = pods(packs=packs)
    expected = small_files(pod, count)
    run_to_commit(pod)
    assert pod.contents() == expected and "packs" not in keys(pod)


def test_small_files_are_packed_while_main_runs(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    expected = small_files(pod, 200)
    wait_for(lambda: pod.ask("SELECT count(*) FROM done") == [(200,)], what="the early packs")
    assert "packs" in keys(pod)
    write(pod, "d0/ünï 0", b"later")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == expected | {("d0/ünï 0", 0): b"later"}, "what lay on disk at the end is the datum"


def test_many_read_only_files_are_packed_and_taken_away(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    expected = small_files(pod, 200, 0o444)
    wait_for(lambda: pod.ask("SELECT count(*) FROM done") == [(200,)], what="the early packs")
    taken = pod.outputs.parent / "taken"
    wait_for(lambda: not any(taken.iterdir()), what="the space to be free again")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == expected and not pod.commit().outputs.refused
    assert [entry.path for entry in pod.entries() if entry.is_directory] == []


def test_what_cannot_be_packed_is_refused_by_name_and_spoils_nothing(pods: Pods) -> None:
    pod = pods(user=65534)
    expected = small_files(pod, 100)
    (pod.outputs / "secret").write_bytes(b"1")
    (pod.outputs / "secret").chmod(0o600)
    outcome = run_to_commit(pod).outputs
    assert (outcome.files, outcome.refused) == (100, 1)
    assert "permission denied" in problems(pod)["secret"] and pod.contents() == expected


def test_killed_between_a_pack_and_its_note_it_makes_another(pod: ShipPod) -> None:
    expected = small_files(pod, 100)
    pod.start()
    pod.main_starts()
    wait_for(lambda: pod.ask("SELECT 1 FROM facts WHERE name = 'packs'"), what="the pack's number")
    pod.kill()
    pod.main_ends()
    time.sleep(0.1)
    pod.start()
    pod.committed()
    assert pod.contents() == expected and len({entry.datum for entry in pod.entries()}) == 100


def test_thousands_are_packed_by_two_processes(pod: ShipPod) -> None:
    expected = {(f"d{n % 3}/{n}", 0): b"%d " % n * 2500 for n in range(2500)}
    for (path, _), content in expected.items():
        write(pod, path, content)
    outcome = run_to_commit(pod).outputs
    assert (outcome.files, outcome.refused) == (2500, 0)
    assert len(list(pod.store.list(f"{pod.prefix}packs/"))) >= 2
    assert pod.contents() == expected
