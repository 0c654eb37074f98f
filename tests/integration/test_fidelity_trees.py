"""Any tree goes out through `ship` and comes back through `fetch` identical, or what cannot is refused by name."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import unicodedata
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from datums.model import podpaths
from datums.model.plan import InputPlan, SetSource
from tests.integration.fidelity_kit import FetchPod, ForkedPod, Tree, below
from tests.integration.s3_fixture import STORE, S3Server

SEEDS = int(os.environ.get("DATUMS_SEEDS", "10"))
_ODD = [
    "model", "model-hf", "a b", "%2F", "a%2Fb", "a+b", "a#b", "a?b=c&d", "back\\slash", "new\nline", ".hidden", "..x", "x" * 255,
    unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"), "日本語", "\u202eright-to-left", "&<>\"'", "a;b", "~",
    "-", "caf\udce9", "\x7f", "\x01", "COM1", " ", "trailing ", "trailing.", "*", "[a]", "{b}", "$(c)",
]  # fmt: skip
_EDGES = [0, 1, 511, 512, 513, 1023, 1024, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]


class Leaf(NamedTuple):
    """What lies at a path."""

    kind: Literal["file", "directory", "link"]
    size: int = 0
    mode: int = 0o644
    seed: int = 0
    """Of a link: which of the other paths it leads to, or out of the tree."""


Paths = dict[tuple[str, ...], Leaf]
_letters = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
_names = st.one_of(
    st.sampled_from(_ODD),
    st.text(_letters, min_size=1, max_size=30).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255),
)
_sizes = st.one_of(
    st.integers(0, 64), st.sampled_from(_EDGES), st.integers(0, 20_000), st.integers(0, 1 << 20), st.integers(0, 50 << 20)
)
_leaves = st.one_of(
    st.builds(Leaf, st.just("file"), _sizes, st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o400, 0o777]), st.integers(0, 9)),
    st.builds(Leaf, st.just("directory")),
    st.builds(Leaf, st.just("link"), seed=st.integers(0, 20)),
)
trees = st.dictionaries(st.lists(_names, min_size=1, max_size=5).map(tuple), _leaves, max_size=14)


def build(base: Path, paths: Paths) -> None:
    """Makes the tree, links last; what does not fit beside what is there already is left out."""
    leaves = [(base.joinpath(*parts), leaf) for parts, leaf in paths.items()]
    for place, leaf in sorted(leaves, key=lambda one: one[1].kind == "link"):
        if os.path.lexists(place) or any(parent.is_symlink() or parent.is_file() for parent in place.parents):
            continue
        (place if leaf.kind == "directory" else place.parent).mkdir(parents=True, exist_ok=True)
        if leaf.kind == "file":
            place.write_bytes(random.Random(leaf.seed).randbytes(leaf.size))
            place.chmod(leaf.mode)
        elif leaf.kind == "link":
            targets: list[Any] = ["nothing", "/etc/hostname", *(os.path.relpath(other, place.parent) for other, _ in leaves)]
            target = targets[leaf.seed % len(targets)]
            if not (place.parent / target).is_dir():
                place.symlink_to(target)


def expected(base: Path) -> tuple[Tree, set[str], set[str]]:
    """What has to come back: files by path; the empty directories; and the paths that have to be refused."""
    files: Tree = {}
    directories, refused = set(), set()
    for place in base.rglob("*"):
        path = str(place.relative_to(base))
        if place.is_dir() and not place.is_symlink():
            if not any(place.iterdir()):
                (directories if is_utf8(place) else refused).add(named(path))
        elif is_utf8(place) and (not place.is_symlink() or leads_to_a_file(place, base)):
            files[path] = place.read_bytes()
        else:
            refused.add(named(path))
    return files, directories, refused


def is_utf8(place: Path) -> bool:
    """Whether a name can be kept."""
    return named(str(place)) == str(place)


def named(path: str) -> str:
    """A path as people are told it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def leads_to_a_file(link: Path, base: Path) -> bool:
    """Whether a link stands for a file that is saved, too."""
    return link.is_file() and link.resolve().is_relative_to(base.resolve()) and is_utf8(link.resolve())


@pytest.fixture(scope="module")
def shared_bucket(s3_server: S3Server) -> str:
    s3_server.boto().create_bucket(Bucket="b-fidelity-trees")
    return "b-fidelity-trees"


@settings(
    max_examples=2 * SEEDS, deadline=None, database=None, derandomize=SEEDS == 10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(paths=trees, packs=st.sampled_from(["Auto", "Never"]))
@example(paths={("model", "a"): Leaf("file", 3), ("model-hf", "a"): Leaf("file", 4)}, packs="Auto")
@example(paths={("d" * 250,) * 5: Leaf("file", 3), (_ODD[13],): Leaf("file", 1), (_ODD[14],): Leaf("file", 2)}, packs="Never")
@example(paths={(f"{n}",): Leaf("file", n) for n in range(120)} | {("large",): Leaf("file", 50 << 20)}, packs="Auto")
def test_what_goes_out_comes_back(shared_bucket: str, s3_server: S3Server, paths: Paths, packs: str) -> None:
    assume(len(paths) > 0)
    root = Path(tempfile.mkdtemp(prefix="tree-"))
    pod = ForkedPod(root / "out", s3_server, shared_bucket, packs=packs, part_size_mib=8)
    try:
        build(pod.outputs, paths)
        files, directories, refused = expected(pod.outputs)
        pod.start()
        pod.main_starts()
        pod.main_ends()
        pod.at(podpaths.PODINFO_MAIN_ENDED).write_text("0")
        outputs = pod.committed(60).outputs
        assert outputs.refused == len(refused), f"{outputs.problems}, not {refused}"
        assert {problem.path.rstrip("/") for problem in outputs.problems} <= refused
        assert (outputs.files, outputs.bytes) == (len(files), sum(map(len, files.values())))

        back = FetchPod(root / "in", s3_server, shared_bucket)
        whole = SetSource(
            link="datum://bundle", store=STORE, manifest_key=outputs.manifest.key, manifest_sha256=outputs.manifest.sha256
        )
        everything = InputPlan(
            name="x", input_id="x", sources=[whole], keep_directories="Full", optional=not (files or directories)
        )
        back.plan(everything)
        ran = back.run()
        assert ran.result.reason == "", ran.result
        assert ran.tree.keys() == below("x", files).keys()
        assert ran.tree == below("x", files)
        assert {path for path in directories if not (back.inputs / "x" / path).is_dir()} == set()
    finally:
        pod.close()
        shutil.rmtree(root, ignore_errors=True)
