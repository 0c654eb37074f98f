"""Which DataStores a namespace may use, which one is meant, and how it is reached."""

from __future__ import annotations

from typing import Any

import pytest

from datums.api.reasons import Failed
from datums.control.store_access import (
    StoreChoiceError,
    access_of,
    check_writable,
    default_store,
    may_use,
    named_store,
    readiness,
    store_of_root,
    usable,
)
from datums.control.store_places import name_of
from tests.unit.control.stores_kit import BLOCKS, store

Obj = dict[str, Any]


ALL = {"from": "All"}


def chosen(*labels: tuple[str, str], expressions: list[Obj] | None = None) -> Obj:
    return {"from": "Selector", "selector": {"matchLabels": dict(labels), "matchExpressions": expressions or []}}


def expression(operator: str, *values: str) -> Obj:
    return chosen(expressions=[{"key": "team", "operator": operator, "values": list(values)}])


@pytest.mark.parametrize(
    ("allowed", "labels", "may"),
    [
        (None, {}, False),
        ({"from": "Same"}, {}, False),
        (ALL, {}, True),
        (chosen(("team", "churn")), {"team": "churn"}, True),
        (chosen(("team", "churn")), {"team": "fraud"}, False),
        (chosen(("team", "churn")), {}, False),
        (chosen(("team", "churn"), ("env", "prod")), {"team": "churn"}, False),
        (chosen(), {}, True),
        (expression("In", "churn", "fraud"), {"team": "fraud"}, True),
        (expression("In", "churn"), {}, False),
        (expression("NotIn", "churn"), {"team": "churn"}, False),
        (expression("NotIn", "churn"), {}, True),
        (expression("Exists"), {"team": ""}, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), {}, True),
        (expression("DoesNotExist"), {"team": "x"}, False),
    ],
)
def test_sharing(allowed: Obj | None, labels: dict[str, str], may: bool) -> None:
    assert may_use(store(allowed=allowed), "churn", labels) is may
    assert may_use(store(allowed=allowed), "platform", {}), "its own namespace always may"


def choose(*stores: Obj) -> str:
    return name_of(default_store(usable(stores, "churn", {}), "churn"))


def test_the_default_of_the_namespace_itself_wins() -> None:
    assert choose(store(default=True, allowed=ALL), store("churn/own", default=True), store("churn/other")) == "churn/own"
    assert choose(store(default=True, allowed=ALL), store("churn/own")) == "platform/ml"


@pytest.mark.parametrize(
    ("stores", "reason", "told"),
    [
        ([], Failed.STORE_NOT_READY, "namespace churn has no default DataStore: set spec.outputs.store"),
        ([store("churn/own")], Failed.STORE_NOT_READY, "has no default DataStore"),
        ([store(default=True)], Failed.STORE_NOT_READY, "has no default DataStore"),
        (
            [store("b/two", default=True, allowed=ALL), store("a/one", default=True, allowed=ALL)],
            Failed.AMBIGUOUS_STORE,
            "several default DataStores, a/one, b/two: set spec.outputs.store",
        ),
        ([store("churn/x", default=True), store("churn/y", default=True)], Failed.AMBIGUOUS_STORE, "churn/x, churn/y"),
    ],
)
def test_no_default_or_too_many(stores: list[Obj], reason: Failed, told: str) -> None:
    with pytest.raises(StoreChoiceError) as error:
        choose(*stores)
    assert error.value.reason == reason
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("stores", "reference", "expected"),
    [
        ([store("churn/ml"), store(allowed=ALL)], "ml", "churn/ml"),
        ([store(allowed=ALL)], "ml", "platform/ml"),
        ([store("churn/ml"), store(allowed=ALL)], "ml@platform", "platform/ml"),
        ([store("other/ml"), store(allowed=ALL)], "ml", "platform/ml"),
    ],
)
def test_a_store_by_name(stores: list[Obj], reference: str, expected: str) -> None:
    assert name_of(named_store(stores, reference, "churn", {})) == expected


@pytest.mark.parametrize(
    ("stores", "reference", "reason", "told"),
    [
        ([], "ml", Failed.STORE_NOT_READY, "there is no DataStore ml in namespace churn nor shared with it"),
        ([store()], "ml@lab", Failed.STORE_NOT_READY, "there is no DataStore ml in namespace lab"),
        ([store()], "ml", Failed.NOT_SHARED, "DataStore platform/ml is not shared with namespace churn"),
        ([store()], "ml@platform", Failed.NOT_SHARED, "spec.allowedNamespaces"),
        (
            [store(allowed=ALL), store("lab/ml", allowed=ALL)],
            "ml",
            Failed.AMBIGUOUS_STORE,
            "lab/ml, platform/ml: write ml@<namespace>",
        ),
    ],
)
def test_a_name_that_leads_to_no_store(stores: list[Obj], reference: str, reason: Failed, told: str) -> None:
    with pytest.raises(StoreChoiceError) as error:
        named_store(stores, reference, "churn", {})
    assert error.value.reason == reason
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("kind", "root"),
    [
        ("s3", "s3://acme-ml"),
        ("gcs", "gs://acme-ml"),
        ("azure", "azure://acme/acme-ml"),
        ("ovh", "swift://p1/acme-ml"),
        ("ovh", "s3://acme-ml"),
        ("oracle", "oci://acme-ml@space"),
        ("oracle", "s3://acme-ml"),
    ],
)
def test_a_store_by_its_bucket(kind: str, root: str) -> None:
    others = [store(f"a/{each}", kind=each, block={"prefix": "x"}) for each in BLOCKS if each not in (kind, "s3", "ovh", "oracle")]
    found = store_of_root([*others, store("b/y", kind=kind), store("c/z", "another", kind=kind)], root, "churn")
    assert name_of(found) == "b/y"


def test_the_store_of_the_namespace_itself_wins() -> None:
    own = [store("a/x", "one"), store("churn/y", "one")]
    assert name_of(store_of_root(own, "s3://one", "churn")) == "churn/y"


def test_a_bucket_that_no_store_has() -> None:
    two = [store("a/x", "one"), store("b/y", "two", kind="gcs")]
    with pytest.raises(StoreChoiceError, match=r"may use has s3://three: create one") as error:
        store_of_root(two, "s3://three", "churn")
    assert error.value.reason == Failed.STORE_NOT_READY
    assert str(error.value).endswith("It may use a/x (s3://one), b/y (gs://two).")
    assert "for a public bucket with credentials: {anonymous: true}" in str(error.value)
    with pytest.raises(StoreChoiceError) as error:
        store_of_root([], "oci://three@space", "churn")
    assert "public" not in str(error.value), "what Oracle has cannot be read without credentials"


def test_a_bucket_that_several_stores_have() -> None:
    two = [store("a/x", "one"), store("b/z", "one", kind="ovh")]
    told = "several DataStores have s3://one, a/x, b/z: write store://x@a/<key> or store://z@b/<key> instead of s3://one/<key>"
    with pytest.raises(StoreChoiceError) as error:
        store_of_root(two, "s3://one", "churn")
    assert (error.value.reason, str(error.value)) == (Failed.AMBIGUOUS_STORE, told)
    with pytest.raises(StoreChoiceError, match="write store://v/<key> or store://w/<key>"):
        store_of_root([store("churn/v", "one"), store("churn/w", "one")], "s3://one", "churn")


def test_access_has_the_defaults_of_the_kind_and_what_the_probe_found() -> None:
    plain = access_of(store(), "PEM", "store-0.json")
    assert (plain.name, plain.bucket, plain.prefix, plain.region, plain.endpoint) == (
        "platform/ml",
        "acme-ml",
        "datums",
        "us-east-1",
        "",
    )
    assert (plain.concurrency, plain.part_size_mib, plain.ca_bundle, plain.credentials) == (16, 16, "PEM", "store-0.json")
    assert plain.conditional_put
    given = store(block={"endpoint": "http://s3:9000", "forcePathStyle": True}, readable=["raw/"], tuning={"partSizeMiB": 32})
    found = {"conditionalPut": False, "rangedGet": True, "versioning": False, "multipart": True}
    full = access_of({**given, "status": {"capabilities": found}})
    assert (full.endpoint, full.force_path_style, full.readable, full.part_size_mib) == ("http://s3:9000", True, ["raw/"], 32)
    assert not full.conditional_put
    assert access_of(store(tuning={"partSizeMiB": 5120})).part_size_mib == 64, "a part lies in memory"


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("s3", ("s3", "acme-ml", "", "us-east-1", False, "WhenSupported")),
        ("gcs", ("gcs", "acme-ml", "", "", False, "WhenSupported")),
        ("azure", ("azure", "acme-ml", "acme", "", False, "WhenSupported")),
        ("ovh", ("ovh", "acme-ml", "p1", "gra", True, "WhenRequired")),
        ("oracle", ("oracle", "acme-ml", "space", "eu-frankfurt-1", True, "WhenRequired")),
    ],
)
def test_access_to_each_kind(kind: str, found: tuple[str, str, str, str, bool, str]) -> None:
    common = {"prefix": "lab", "endpoint": "https://e.example.com", "proxyURL": "http://proxy:3128"}
    access = access_of(store(kind=kind, block=common))
    assert (access.kind, access.bucket, access.account, access.region, access.force_path_style, access.checksums) == found
    assert (access.prefix, access.endpoint, access.proxy, access.anonymous) == (
        "lab",
        "https://e.example.com",
        "http://proxy:3128",
        False,
    )
    tuned = access_of(store(kind=kind, tuning={"checksums": "WhenSupported"}))
    assert tuned.checksums == "WhenSupported"


def test_what_an_anonymous_store_may_read_is_public() -> None:
    public = store(kind="gcs", credentials={"anonymous": True})
    assert (access_of(public).anonymous, access_of(public).readable) == (True, [""])
    assert access_of(store(credentials={"anonymous": True}, readable=["raw/"])).readable == ["raw/"]
    assert access_of(store()).readable == []


def test_nothing_is_saved_to_an_anonymous_store() -> None:
    check_writable(store())
    with pytest.raises(StoreChoiceError, match=r"platform/ml has credentials\.anonymous, and nothing can be saved") as error:
        check_writable(store(credentials={"anonymous": True}))
    assert error.value.reason == Failed.STORE_NOT_READY


def test_why_a_store_cannot_be_used() -> None:
    condition = {"type": "Ready", "lastTransitionTime": "2026-11-24T12:00:00Z"}
    ok = {**store(), "status": {"conditions": [{**condition, "status": "True", "reason": "Probed"}]}}
    bad = {**store(), "status": {"conditions": [{**condition, "status": "False", "reason": "AccessDenied", "message": "no."}]}}
    assert readiness(ok) == (True, "")
    assert readiness(bad) == (False, "DataStore platform/ml is not ready (AccessDenied): no.")
    assert readiness(store()) == (False, "DataStore platform/ml was not tried yet")
