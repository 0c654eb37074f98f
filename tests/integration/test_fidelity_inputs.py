"""Inputs that change or are damaged under `fetch`, and keys that are easily mistaken: the right bytes, or a typed reason."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from datums.model import links, podpaths
from datums.model.plan import DatumSource, InputPlan
from tests.faults.proxy import FaultProxy
from tests.faults.script import Fault, Hit, Script
from tests.integration.fidelity_kit import FetchPod, bundle, check_fetched, raw, save_set
from tests.integration.s3_fixture import STORE, S3Server

LARGE = random.Random(7).randbytes(3 << 20)
PACKED = {f"small/{n}.txt": bytes([n]) * (100 * n) for n in range(1, 9)}


@pytest.fixture
def pod(tmp_path: Path, s3_server: S3Server, bucket: str) -> FetchPod:
    return FetchPod(tmp_path / "pod", s3_server, bucket)


def just_before(path: str, work: Callable[[], object]) -> Callable[[Hit], None]:
    """Does the work once, just before the first GET of the object reaches the server."""
    left = [work]

    def watch(hit: Hit) -> None:
        if hit.method == "GET" and path in hit.target and "list-type" not in hit.target and left:
            left.pop()()

    return watch


@pytest.mark.parametrize("pattern", ["raw/x.bin", "raw/*"])
@pytest.mark.parametrize("size", [1000, len(LARGE)])
@pytest.mark.parametrize("change", ["other bytes", "longer", "shorter", "gone"])
def test_an_object_is_replaced_between_resolve_and_download(
    pod: FetchPod, s3_server: S3Server, bucket: str, pattern: str, size: int, change: str
) -> None:
    data, boto = LARGE[:size], s3_server.boto()
    boto.put_object(Bucket=bucket, Key="raw/x.bin", Body=data)
    after = {"other bytes": data[::-1], "longer": data + b"+", "shorter": data[:-1]}

    def replace() -> None:
        if change == "gone":
            boto.delete_object(Bucket=bucket, Key="raw/x.bin")
        else:
            boto.put_object(Bucket=bucket, Key="raw/x.bin", Body=after[change])

    with FaultProxy(s3_server.endpoint) as proxy:
        proxy.watch = just_before("/raw/x.bin", replace)
        through = FetchPod(pod.root / "through", s3_server, bucket, endpoint=proxy.endpoint)
        through.plan(raw("x", pattern))
        ran = through.run()
        check_fetched(ran, {"x/x.bin": data}, [f"s3://{bucket}/raw/x.bin"])
        allowed = ("InputChanged", "InputNotFound") if change == "gone" else ("InputChanged",)
        assert ran.result.reason in allowed, f"{ran.result}\n{proxy.story()}"


def test_an_object_is_replaced_while_it_is_read(pod: FetchPod, s3_server: S3Server, bucket: str) -> None:
    """The first answer is cut; what goes on must not be the rest of another version."""
    boto = s3_server.boto()
    boto.put_object(Bucket=bucket, Key="raw/x.bin", Body=LARGE)
    cut = Fault(do="cut", method="GET", path="/raw/x.bin")
    with FaultProxy(s3_server.endpoint, Script([cut], seed=2)) as proxy:
        gets: list[int] = []

        def watch(hit: Hit) -> None:
            if hit.method == "GET" and "/raw/x.bin" in hit.target:
                gets.append(hit.number)
                if len(gets) == 2:
                    boto.put_object(Bucket=bucket, Key="raw/x.bin", Body=LARGE[::-1])

        proxy.watch = watch
        through = FetchPod(pod.root / "through", s3_server, bucket, endpoint=proxy.endpoint)
        through.plan(raw("x", "raw/*"))
        ran = through.run()
        assert (ran.result.reason, ran.tree) == ("InputChanged", {}), f"{ran.result}\n{proxy.story()}"


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_bit_of_a_stored_datum_is_turned(pod: FetchPod, s3_server: S3Server, bucket: str, where: str) -> None:
    """Of a file of its own, and of one in a pack; read with its set, and alone."""
    boto, store = s3_server.boto(), s3_server.open(bucket)
    saved = save_set(store, "earlier", {"own.bin": LARGE}, PACKED)
    for path in ("own.bin", "small/3.txt"):
        entry = next(one for one in saved.entries if one.path == path)
        assert entry.location is not None
        key = entry.location.key
        whole = boto.get_object(Bucket=bucket, Key=key)["Body"].read()
        at = entry.location.offset + {"first": 0, "middle": entry.size // 2, "last": entry.size - 1}[where]
        boto.put_object(Bucket=bucket, Key=key, Body=whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        alone = DatumSource(
            link=f"datum://{entry.datum}", datum=entry.datum, path=path, store=STORE, key=key, offset=entry.location.offset,
            size=entry.size, sha256=entry.sha256,
        )  # fmt: skip
        for what in (bundle("x", saved), InputPlan(name="x", input_id="x", sources=[alone])):
            fresh = FetchPod(pod.root / f"{where}-{path.replace('/', '-')}-{what.keep_directories}", s3_server, bucket)
            fresh.plan(what)
            ran = fresh.run()
            assert ran.result.reason == "InputDigestMismatch", ran.result
            assert f"s3://{bucket}/{key}" in ran.result.message
            assert all(data == saved.tree[name.removeprefix("x/")] for name, data in ran.tree.items() if name != "x/small/3.txt")
            assert not any(name.endswith(path.rpartition("/")[2]) for name in ran.tree)
        boto.put_object(Bucket=bucket, Key=key, Body=whole)


def test_a_pinned_rerun_gets_the_same_bytes_or_fails(pod: FetchPod, s3_server: S3Server, bucket: str) -> None:
    boto = s3_server.boto()
    for n in range(3):
        boto.put_object(Bucket=bucket, Key=f"raw/p/{n}", Body=LARGE[:1000])
    first = FetchPod(pod.root / "first", s3_server, bucket)
    first.plan(raw("x", "raw/p/*"))
    tree = first.run().tree
    assert len(tree) == 3
    pinned = first.resolved().pinned[0].pinned
    pin = links.parse(pinned).pin

    def again(name: str) -> tuple[str, dict[str, bytes]]:
        one = FetchPod(pod.root / name, s3_server, bucket)
        source = raw("x", "raw/p/*").sources[0]
        one.plan(
            InputPlan(name="x", input_id="x", sources=[type(source)(link=source.link, store=STORE, pattern="raw/p/*", pin=pin)])
        )
        ran = one.run()
        return ran.result.reason, ran.tree

    assert again("same") == ("", tree)
    boto.put_object(Bucket=bucket, Key="raw/p/3", Body=b"one more")
    assert again("more")[0] == "InputChanged"
    boto.delete_object(Bucket=bucket, Key="raw/p/3")
    assert again("as before") == ("", tree)
    boto.put_object(Bucket=bucket, Key="raw/p/2", Body=LARGE[1:1001])
    assert again("other")[0] == "InputChanged"


KEYS = [
    "raw/k/plain", "raw/k/a b", "raw/k/a+b", "raw/k/a%2Fb", "raw/k/a%20b", "raw/k/a#b", "raw/k/a?b=c&d", "raw/k/ lead",
    "raw/k/trail ",
    "raw/k/~'()!$@,;:=[]{}|^`<>\"", f"raw/k/{unicodedata.normalize('NFC', 'é')}", f"raw/k/{unicodedata.normalize('NFD', 'é')}",
    "raw/k/日本語/深い", "raw/k/..dots", "raw/k/dots..", "raw/k/%", "raw/k/%%41", "raw/k/*", "raw/k/\N{PILE OF POO}",
    "raw/k/" + "/".join(["n" * 203] * 5)[: 1024 - len("raw/k/")],
]  # fmt: skip


def test_keys_are_verbatim(pod: FetchPod, s3_server: S3Server, bucket: str) -> None:
    boto = s3_server.boto()
    for key in KEYS:
        boto.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert max(len(key.encode()) for key in KEYS) == 1024
    pod.plan(raw("x", "raw/k/**", keep_directories="Full"))
    ran = pod.run()
    assert ran.result.reason == "", ran.result
    assert ran.tree == {f"x/{key}": key.encode() for key in KEYS}


@pytest.mark.parametrize("key", [key for key in KEYS if "*" not in key and "[" not in key])
def test_a_key_by_itself(pod: FetchPod, s3_server: S3Server, bucket: str, key: str) -> None:
    boto = s3_server.boto()
    boto.put_object(Bucket=bucket, Key=key, Body=key.encode())
    boto.put_object(Bucket=bucket, Key=f"{key[:1000]}-hf", Body=b"another")
    pod.plan(raw("x", key, keep_directories="Full"))
    ran = pod.run()
    if "?" in key:  # a wildcard
        assert ran.result.reason in ("", "InputNotFound")
        return
    assert (ran.result.reason, ran.tree) == ("", {f"x/{key}": key.encode()}), ran.result


def test_a_prefix_is_no_directory(pod: FetchPod, s3_server: S3Server, bucket: str) -> None:
    boto = s3_server.boto()
    for key in ("raw/model/a", "raw/model-hf/b", "raw/model.txt", "raw/model/sub/", "raw/model/"):
        boto.put_object(Bucket=bucket, Key=key, Body=b"" if key.endswith("/") else key.encode())
    pod.plan(raw("x", "raw/model/**", keep_directories="Full"))
    ran = pod.run()
    assert ran.tree == {"x/raw/model/a": b"raw/model/a"}, ran.result
    pod.plan(raw("y", "raw/model/"))
    assert pod.run().result.reason == "InputNotFound"


@pytest.mark.parametrize("pattern", ["raw/../secret/x", "raw/../../x", "raw/./x", "raw//x", "raw/x/.."])
def test_what_goes_upwards_is_refused_by_name(pod: FetchPod, s3_server: S3Server, bucket: str, pattern: str) -> None:
    s3_server.boto().put_object(Bucket=bucket, Key="secret/x", Body=b"secret")
    pod.plan(raw("x", pattern))
    ran = pod.run()
    assert ran.result.reason in ("AccessDenied", "InvalidSpec", "InputNotFound", "NotShared"), ran.result
    assert pattern in ran.result.message
    assert ran.tree == {}


@pytest.mark.parametrize("do", ["list-reorder", "list-repeat", "list-token"])
def test_pages_of_a_listing_that_are_wrong(pod: FetchPod, s3_server: S3Server, bucket: str, do: str) -> None:
    """Either all objects come, each once, or the listing is an error; none is missing in silence."""
    boto = s3_server.boto()
    store = s3_server.open(bucket)
    for n in range(2100):
        store.put(f"raw/many/{n:05}", b"")
    assert boto.list_objects_v2(Bucket=bucket, Prefix="raw/many/")["IsTruncated"]
    wanted = {f"raw/many/{n:05}" for n in range(0, 2100, 50)}
    for n in sorted(wanted):
        store.put(n, n.encode())
    tree = {f"x/{key.rpartition('/')[2]}": key.encode() for key in wanted}
    for first in (1, 2, 3):
        for times in (1, 0):
            fault = Fault(do=do, path="list-type=2", first=first, times=times)  # type: ignore[arg-type]
            with FaultProxy(s3_server.endpoint, Script([fault])) as proxy:
                one = FetchPod(pod.root / f"{first}-{times}", s3_server, bucket, endpoint=proxy.endpoint)
                one.plan(raw("x", "raw/many/???[05]0"))
                ran = one.run(constants={"datums.transfer.fetch_retry:GIVE_UP_SECONDS": 1.0})
                check_fetched(ran, tree, [f"s3://{bucket}/", "store://ml/raw/many"])


def test_credentials_that_cannot_be_read_are_said_to_be(pod: FetchPod, s3_server: S3Server, bucket: str) -> None:
    """The store of a datum is opened no sooner than its bytes are asked for, in a thread."""
    [entry] = save_set(s3_server.open(bucket), "first", {"a": b"1"}).entries
    assert entry.location is not None
    where = {"store": STORE, "key": entry.location.key, "size": 1, "sha256": entry.sha256}
    source = DatumSource(link=f"datum://{entry.datum}", datum=entry.datum, path="a", **where)
    pod.plan(InputPlan(name="x", input_id="x", sources=[source]))
    (pod.at(podpaths.SECRET) / "store-0.json").write_text("{")
    ran = pod.run()
    assert ran.result.reason == "AccessDenied" and STORE in ran.result.message, ran.result
