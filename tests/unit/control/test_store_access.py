"""Which DataStores a namespace may use, which one is meant, and what is in their Secrets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from datums.api.reasons import Failed, StoreNotReady
from datums.control.store_access import (
    StoreChoiceError,
    StoreSetupError,
    access_of,
    credentials_of,
    default_store,
    may_use,
    name_of,
    named_store,
    readiness,
    store_of_bucket,
    usable,
    value_of,
)

Obj = dict[str, Any]


def store(
    where: str = "platform/ml", bucket: str = "acme-ml", allowed: Obj | None = None, default: bool = False, **more: Any
) -> Obj:
    namespace, name = where.split("/")
    spec: Obj = {
        "s3": {"bucket": bucket, **more.pop("s3", {})},
        "credentials": {"secretRef": {"name": "keys"}},
        "default": default,
        **more,
    }
    if allowed is not None:
        spec["allowedNamespaces"] = allowed
    return {
        "apiVersion": "datums.dev/v1alpha1",
        "kind": "DataStore",
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


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


def test_a_store_by_bucket() -> None:
    two = [store("a/x", "one"), store("b/y", "two")]
    assert name_of(store_of_bucket(two, "two", "churn")) == "b/y"
    own = [store("a/x", "one"), store("churn/y", "one")]
    assert name_of(store_of_bucket(own, "one", "churn")) == "churn/y"
    with pytest.raises(StoreChoiceError, match=r"has bucket three.* It may use a/x, b/y") as error:
        store_of_bucket(two, "three", "churn")
    assert error.value.reason == Failed.STORE_NOT_READY
    with pytest.raises(StoreChoiceError, match="have bucket one, a/x, b/z: write store://") as error:
        store_of_bucket([store("a/x", "one"), store("b/z", "one")], "one", "churn")
    assert error.value.reason == Failed.AMBIGUOUS_STORE


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
    given = store(s3={"endpoint": "http://s3:9000", "forcePathStyle": True}, readable=["raw/"], tuning={"partSizeMiB": 32})
    found = {"conditionalPut": False, "rangedGet": True, "versioning": False, "multipart": True}
    full = access_of({**given, "status": {"capabilities": found}})
    assert (full.endpoint, full.force_path_style, full.readable, full.part_size_mib) == ("http://s3:9000", True, ["raw/"], 32)
    assert not full.conditional_put


def secret(**data: str) -> Obj:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"namespace": "platform", "name": "keys"}, "data": encoded}


def test_credentials_are_the_keys_of_the_providers_tools() -> None:
    given = secret(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key\n", AWS_SESSION_TOKEN="t", note="ours")
    assert credentials_of(store(), given) == {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "t"}


@pytest.mark.parametrize(
    "given", [secret(AWS_ACCESS_KEY_ID="id"), secret(AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY=""), {**secret(), "data": None}]
)
def test_a_missing_key_is_named_with_the_secret_and_the_store(given: Obj) -> None:
    with pytest.raises(
        StoreSetupError, match=r"Secret platform/keys has no key AWS_\w+, which DataStore platform/ml needs"
    ) as error:
        credentials_of(store(), given)
    assert error.value.reason == StoreNotReady.SECRET_KEY_MISSING


def test_a_value_that_is_no_text_is_refused_without_showing_it() -> None:
    given = {**secret(AWS_ACCESS_KEY_ID="id"), "data": {"AWS_ACCESS_KEY_ID": base64.b64encode(b"\xff\xfe").decode()}}
    with pytest.raises(StoreSetupError, match=r"key AWS_ACCESS_KEY_ID of Secret platform/keys.* is not text"):
        credentials_of(store(), given)


def test_values_of_config_maps_are_not_encoded() -> None:
    holder = {"metadata": {"namespace": "platform", "name": "ca"}, "data": {"ca.crt": "PEM"}}
    assert value_of("ConfigMap", holder, "ca.crt", store()) == "PEM"
    with pytest.raises(StoreSetupError, match="ConfigMap platform/ca has no key other"):
        value_of("ConfigMap", holder, "other", store())


def test_why_a_store_cannot_be_used() -> None:
    condition = {"type": "Ready", "lastTransitionTime": "2026-11-24T12:00:00Z"}
    ok = {**store(), "status": {"conditions": [{**condition, "status": "True", "reason": "Probed"}]}}
    bad = {**store(), "status": {"conditions": [{**condition, "status": "False", "reason": "AccessDenied", "message": "no."}]}}
    assert readiness(ok) == (True, "")
    assert readiness(bad) == (False, "DataStore platform/ml is not ready (AccessDenied): no.")
    assert readiness(store()) == (False, "DataStore platform/ml was not tried yet")
