"""`ship` while main runs: early uploads, and files that are taken away."""

from __future__ import annotations

import mmap
import os
import shutil
import threading
import time

import pytest

from datums.model import podpaths
from tests.integration.ship_kit import NOBODY, Pods, ShipPod, problems, wait_for, write


def test_files_are_uploaded_while_main_runs(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    write(pod, "early.bin", b"early")
    wait_for(lambda: pod.ask("SELECT 1 FROM done"), what="the early upload")
    store = pod.store
    assert store.get(f"{pod.prefix}files/early.bin") == b"early"
    write(pod, "early.bin", b"later")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == {("early.bin", 0): b"later"}, "what lay on disk at the end is the datum"
    assert store.get(f"{pod.prefix}files/early.bin") == b"early", "no key is written twice"


def test_a_file_that_is_open_for_writing_is_not_uploaded_early(pods: Pods) -> None:
    pod = pods()
    pod.start()
    pod.main_starts()
    with (pod.outputs / "train.log").open("wb") as log:
        log.write(b"epoch 1\n")
        log.flush()
        write(pod, "closed", b"1")
        wait_for(lambda: pod.is_saved("closed"))
        time.sleep(0.5)
        assert not pod.is_saved("train.log")
        log.write(b"epoch 2\n")
    pod.main_ends()
    pod.committed()
    assert pod.contents()["train.log", 0] == b"epoch 1\nepoch 2\n"


def test_a_read_only_file_is_taken_away_and_its_name_is_free_again(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    for n in range(3):
        target = write(pod, "ckpt/model.bin", b"epoch %d" % n, 0o444)
        wait_for(lambda target=target: not target.exists(), 3, "the file to be taken away")
    wait_for(lambda: not any((pod.at(podpaths.OUTPUTS_VOLUME) / "taken").iterdir()), what="the space to be free again")
    write(pod, "ckpt/model.bin", b"last")
    pod.main_ends()
    assert pod.committed().outputs.files == 4
    assert pod.contents() == {("ckpt/model.bin", n): data for n, data in enumerate([b"epoch 0", b"epoch 1", b"epoch 2", b"last"])}
    assert len({entry.datum for entry in pod.entries()}) == 4


def test_a_read_only_file_of_another_user_is_kept_until_nobody_can_write_to_it(pods: Pods) -> None:
    """There the kernel does not tell whether it is still open: what is written after it was taken away must not be lost."""
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    pod = pods(user=NOBODY)
    pod.start()
    pod.main_starts()
    with (pod.outputs / "model.bin").open("wb") as stream:
        stream.write(b"first half,")
        stream.flush()
        (pod.outputs / "model.bin").chmod(0o444)
        wait_for(lambda: pod.ask("SELECT 1 FROM done"), what="the early upload")
        stream.write(b"second half")
    pod.main_ends()
    assert pod.committed().outputs.refused == 0
    assert pod.contents() == {("model.bin", 0): b"first half,second half"}


def test_what_is_written_to_a_mapping_after_the_early_upload_is_saved(pods: Pods) -> None:
    """Of another user's file the kernel does not tell that it is mapped, and a page that is dirty already leaves no trace."""
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    pod = pods(user=NOBODY)
    pod.start()
    pod.main_starts()
    size, path = 4096, pod.outputs / "array.npy"
    path.write_bytes(bytes(size))
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), size) as array:
        array[:5] = b"early"
        wait_for(lambda: pod.is_saved("array.npy"), what="the early upload")
        array[:5] = b"final"
    pod.main_ends()
    assert pod.committed().outputs.refused == 0
    assert pod.contents() == {("array.npy", 0): b"final" + bytes(size - 5)}


def test_an_early_version_does_not_stand_for_a_file_that_is_refused(pods: Pods) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs two users")
    pod = pods(user=NOBODY)
    pod.start()
    pod.main_starts()
    model = write(pod, "model.bin", b"early")
    (pod.outputs / "best").symlink_to("model.bin")
    wait_for(lambda: pod.is_saved("model.bin"), what="the early upload")
    model.write_bytes(b"final")
    model.chmod(0)
    pod.main_ends()
    assert pod.committed().outputs.files == 0
    assert "permission denied" in problems(pod)["model.bin"]
    assert "which could not be saved" in problems(pod)["best"]


def test_links_to_a_directory_show_the_files_that_were_taken_away_from_it(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    target = write(pod, "ckpt-3/weights", b"old", 0o444)
    wait_for(lambda: not target.exists())
    write(pod, "ckpt-3/weights", b"new", 0o444)
    wait_for(lambda: not target.exists())
    (pod.outputs / "latest").symlink_to("ckpt-3")
    pod.main_ends()
    pod.committed()
    taken = {("ckpt-3/weights", 0): b"old", ("ckpt-3/weights", 1): b"new"}
    assert pod.contents() == {**taken, ("latest/weights", 0): b"new"}
    assert [entry.path for entry in pod.entries() if entry.is_directory] == []


def test_read_only_names_of_one_file_are_all_saved(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    first = write(pod, "0", b"x" * 2_000_000)
    for name in range(1, 6):
        (pod.outputs / str(name)).hardlink_to(first)
    first.chmod(0o444)
    pod.main_was_seen()
    pod.main_ends()
    assert pod.committed().outputs.refused == 0
    assert {path for path, _ in pod.contents()} == {str(name) for name in range(6)}


def test_a_link_to_a_file_that_was_taken_away(pod: ShipPod) -> None:
    pod.start()
    pod.main_starts()
    target = write(pod, "ckpt-3", b"weights", 0o444)
    wait_for(lambda: not target.exists())
    (pod.outputs / "latest").symlink_to("ckpt-3")
    pod.main_ends()
    pod.committed()
    assert pod.contents() == {("ckpt-3", 0): b"weights", ("latest", 0): b"weights"}


def test_links_that_are_swapped_in_during_the_upload_lead_nowhere(pods: Pods) -> None:
    """Main replaces files and directories by links to what only `ship` may read, as fast as it can."""
    pod = pods()
    secret = pod.at("outside")
    secret.mkdir()
    (secret / "f").write_bytes(b"SECRET")
    (secret / "f").chmod(0o444)
    stop = threading.Event()

    def attack() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            directory, swap = pod.outputs / f"d{n % 8}", pod.outputs / f".swap{n % 8}"
            directory.mkdir(exist_ok=True)
            name = directory / "f"
            name.write_bytes(b"mine")
            name.chmod(0o444)
            if n % 3 == 0:
                directory.rename(pod.outputs / f"old{n}")
                directory.symlink_to(secret)
                time.sleep(0.002)
                directory.unlink()
            elif n % 3 == 1:
                swap.symlink_to(secret / "f")
                swap.rename(name)
                time.sleep(0.002)
            else:
                os.mkfifo(swap)
                swap.rename(name)
                time.sleep(0.002)
            name.unlink(missing_ok=True)

    def attack_on() -> None:
        while not stop.is_set():
            try:
                attack()
            except OSError:  # ship took away what the next step needs
                shutil.rmtree(pod.outputs / "d0", ignore_errors=True)

    pod.start()
    pod.main_starts()
    attacker = threading.Thread(target=attack_on)
    attacker.start()
    time.sleep(3)
    stop.set()
    attacker.join()
    pod.main_ends()
    pod.committed(60)
    found = pod.contents()
    assert found and set(found.values()) == {b"mine"}
    listed = pod.store.list("")
    assert not any(b"SECRET" in pod.store.get(item.key) for item in listed)
    assert (secret / "f").exists()
