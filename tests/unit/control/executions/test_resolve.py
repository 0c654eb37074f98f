from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from datums.api.datum import Datum
from datums.control.executions.errors import NotStartable
from datums.control.executions.planning import config_of, plan_of
from datums.control.executions.resolve import Resolution, Surroundings, links_of, resolve
from datums.model import ids
from datums.model.plan import DatumSource, ObjectsSource, SetSource, WebSource
from tests.unit.control.executions.kit import UID, execution

SET = "a1b2c3d4e5f6071"
FILE = ids.file_id(SET, "a.csv", 0, "f" * 64)
BUNDLE = ids.bundle_id(SET)


def store(name: str = "ml", namespace: str = "churn", ready: bool = True, **spec: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": str(ready), "reason": "Probed" if ready else "AccessDenied", "message": "no"}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"s3": {"bucket": f"{name}-bucket"}, "credentials": {"secretRef": {"name": "keys"}}, **spec},
        "status": {"conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
    }


def datum(name: UUID, where: str = "churn/ml") -> Datum:
    source = {
        "execution": {"name": "e", "uid": "u", "attempt": 1},
        "manifest": {"store": where, "key": "m", "sha256": "0" * 64},
    }
    spec: dict[str, Any] = {"size": 3, "source": source}
    if ids.is_bundle(name):
        spec |= {"files": 9}
    else:
        spec |= {"path": "a.csv", "sha256": "f" * 64, "location": {"store": where, "key": "k"}}
    return msgspec.convert({"metadata": {"name": str(name), "namespace": "churn"}, "spec": spec}, Datum)


def resolved(*stores: dict[str, Any], datums: Any = None, sets: Any = None, **spec: Any) -> Resolution:
    around = Surroundings(namespace_labels={}, stores=stores, datums=datums or {}, sets=sets or {})
    return resolve(execution(**spec), around)


def source(link: str, *stores: dict[str, Any], **looked_up: Any) -> Any:
    found = resolved(*(stores or (store(default=True),)), inputs=[{"name": "x", "link": link}], **looked_up)
    ((one,),) = (declared.sources for declared in found.inputs)
    return one


def refused(*stores: dict[str, Any], **spec: Any) -> tuple[str, bool, str]:
    with pytest.raises(NotStartable) as error:
        resolved(*stores, **spec)
    return error.value.reason, error.value.waits, str(error.value)


def test_the_default_store() -> None:
    assert resolved(store(default=True), store("other")).output == "churn/ml"
    assert resolved(store(default=True), store("other"), outputs={"store": "other"}).output == "churn/other"


def test_what_waits_for_a_store() -> None:
    assert refused()[:2] == ("StoreNotReady", True)
    assert refused(store())[:2] == ("StoreNotReady", True)
    assert refused(store(default=True, ready=False))[:2] == ("StoreNotReady", True)
    reason, waits, message = refused(store(default=True), store("b", default=True))
    assert (reason, waits) == ("AmbiguousStore", True)
    assert "churn/ml" in message and "churn/b" in message
    assert refused(store(namespace="other", default=True), outputs={"store": "ml@other"})[:2] == ("NotShared", True)


def test_an_input_store_must_be_ready_too() -> None:
    late = store("late", ready=False)
    assert refused(store(default=True), late, inputs=[{"name": "x", "link": "store://late/raw/x"}])[0] == "StoreNotReady"


def test_links() -> None:
    here = store(default=True)
    assert source("s3://ml-bucket/raw/**") == ObjectsSource(link="s3://ml-bucket/raw/**", store="churn/ml", pattern="raw/**")
    assert source("store://ml/raw/x") == ObjectsSource(link="store://ml/raw/x", store="churn/ml", pattern="raw/x")
    assert source("https://h/x") == WebSource(link="https://h/x", url="https://h/x")
    one = source(f"datum://{FILE}", here, datums={FILE: datum(FILE)})
    assert isinstance(one, DatumSource) and (one.key, one.path, one.size) == ("k", "a.csv", 3)
    whole = source(f"datum://{BUNDLE}/a/*", here, datums={BUNDLE: datum(BUNDLE)})
    assert isinstance(whole, SetSource) and (whole.datum, whole.path, whole.manifest_key) == ("", "a/*", "m")
    member = source(f"datum://{FILE}", here, datums={FILE: None}, sets={SET: datum(BUNDLE)})
    assert isinstance(member, SetSource) and member.datum == str(FILE)


@pytest.mark.parametrize(
    ("link", "reason", "waits", "words"),
    [
        (f"datum://{FILE}", "InputNotFound", False, str(FILE)),
        (f"datum://{FILE}@other", "NotShared", True, "other"),
        ("s3://nowhere/x", "StoreNotReady", True, "nowhere"),
        ("store://nowhere/x", "StoreNotReady", True, "nowhere"),
        ("ftp://x/y", "InvalidSpec", False, "ftp"),
    ],
)
def test_links_that_lead_nowhere(link: str, reason: str, waits: bool, words: str) -> None:
    found = refused(store(default=True), inputs=[{"name": "x", "link": link}])
    assert found[:2] == (reason, waits)
    assert words in found[2]


@pytest.mark.parametrize("pattern", ["datums/projects/other/x", "lab/projects/other/**", "datums/projects/churn2/a"])
@pytest.mark.parametrize("scheme", ["s3://ml-bucket/", "store://ml/"])
def test_raw_links_into_another_project_end_it(scheme: str, pattern: str) -> None:
    lab = store("lab", namespace="other", s3={"bucket": "ml-bucket", "prefix": "lab"})
    found = refused(store(default=True, readable=[""]), lab, inputs=[{"name": "x", "link": scheme + pattern}])
    assert found[:2] == ("NotShared", False)
    assert "namespace " + pattern.split("/")[2] in found[2]


@pytest.mark.parametrize("pattern", ["datums/projects/churn/x", "**", "data", "other/projects/other/x"])
def test_raw_links_that_are_left_to_fetch(pattern: str) -> None:
    found = source(f"s3://ml-bucket/{pattern}", store(default=True))
    assert isinstance(found, ObjectsSource) and found.pattern == pattern


def azure(name: str = "blobs", namespace: str = "churn", **spec: Any) -> dict[str, Any]:
    return {
        **store(name, namespace),
        "spec": {**store(**spec)["spec"], "s3": None, "azure": {"account": "acme", "container": "img"}},
    }


def test_links_of_every_provider() -> None:
    spec: dict[str, Any] = {
        "gcs": {"gcs": {"bucket": "acme"}},
        "azure": {"azure": {"account": "acme", "container": "img"}},
        "ovh": {"ovh": {"project": "p1", "container": "acme", "region": "gra"}},
        "oracle": {"oracle": {"namespace": "space", "bucket": "other", "region": "eu-frankfurt-1"}},
    }
    stores = [store("out", default=True), *(store(name, s3=None, **block) for name, block in spec.items())]
    for link, of in {
        "gs://acme/a/**": "churn/gcs",
        "azure://acme/img/a/**": "churn/azure",
        "https://acme.blob.core.windows.net/img/a/**": "",
        "swift://p1/acme/a/**": "churn/ovh",
        "s3://acme/a/**": "churn/ovh",
        "oci://other@space/a/**": "churn/oracle",
        "s3://other/a/**": "churn/oracle",
    }.items():
        expected = ObjectsSource(link=link, store=of, pattern="a/**") if of else WebSource(link=link, url=link)
        assert source(link, *stores) == expected


def test_a_url_of_azure_is_read_through_a_store_that_has_the_container() -> None:
    url = "https://acme.blob.core.windows.net/img/a%20b.png"
    assert source(url) == WebSource(link=url, url=url)
    assert source(url, store(default=True), azure()) == ObjectsSource(link=url, store="churn/blobs", pattern="a b.png")
    signed = f"{url}?sv=1&sig=x"
    assert source(signed, store(default=True), azure()) == WebSource(link=signed, url=signed)
    two = (azure("one"), azure("two"))
    found = refused(store(default=True), *two, inputs=[{"name": "x", "link": url}])
    assert found[0] == "AmbiguousStore" and "store://one/<key> or store://two/<key>" in found[2]


def test_nothing_is_saved_without_credentials() -> None:
    public = store("public", credentials={"anonymous": True}, default=False)
    found = refused(store(default=True), public, outputs={"store": "public"})
    assert found[:2] == ("StoreNotReady", True)
    assert "churn/public has credentials.anonymous" in found[2]
    assert isinstance(source("s3://public-bucket/x", store(default=True), public), ObjectsSource)


def test_a_file_in_a_pack_and_whether_outputs_are_packed() -> None:
    packed = datum(FILE)
    where = msgspec.structs.replace(packed.spec.location, offset=512) if packed.spec.location else None
    packed = msgspec.structs.replace(packed, spec=msgspec.structs.replace(packed.spec, location=where))
    one = source(f"datum://{FILE}", store(default=True), datums={FILE: packed})
    assert isinstance(one, DatumSource) and (one.key, one.offset) == ("k", 512)
    for spec, packs in (({}, "Auto"), ({"outputs": {"packs": "Never"}}, "Never")):
        of = execution(**spec)
        assert plan_of(of, 1, resolved(store(default=True), **spec), {}, "true", "").output.packs == packs


def test_a_datum_in_a_store_that_is_not_shared_any_more() -> None:
    theirs = store("ml", namespace="other")
    looked_up = {"datums": {FILE: datum(FILE, "other/ml")}}
    found = refused(store(default=True), theirs, inputs=[{"name": "x", "link": f"datum://{FILE}"}], **looked_up)
    assert found[:2] == ("NotShared", True)


def test_links_of_all_inputs() -> None:
    inputs = [{"name": "a", "link": "https://h/1"}, {"name": "b", "links": ["https://h/2", "https://h/3"]}]
    assert [(i.name, text) for i, text, _ in links_of(execution(inputs=inputs).spec)] == [
        ("a", "https://h/1"),
        ("b", "https://h/2"),
        ("b", "https://h/3"),
    ]


def test_the_plan_is_the_same_for_every_attempt_but_for_its_number() -> None:
    of = execution(inputs=[{"name": "x", "link": "s3://ml-bucket/raw/x"}], parameters=[{"name": "p", "value": 1}])
    found = resolve(of, Surroundings(namespace_labels={}, stores=[store(default=True)], datums={}, sets={}))
    one, two = (plan_of(of, n, found, {}, "true", "http://a") for n in (1, 2))
    assert one.inputs == two.inputs
    assert (one.config, one.parameters) == (two.config, {"p": 1})
    assert two.execution.attempt == 2


def test_config() -> None:
    config = config_of(execution())
    assert config["valohai.execution-id"] == UID
    assert isinstance(config["valohai.execution-counter"], int)
    assert config["valohai.execution-ctime"].endswith("+00:00")
    assert UUID(config["valohai.project-id"])
