"""What the API server itself accepts and refuses, by the CRDs alone, and in which words."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from kubernetes import client, config

from datums.api.crds import render
from datums.api.execution_status import ExecutionStatus
from datums.api.kinds import KINDS
from datums.api.names import CATEGORY, GROUP, VERSION
from testbed.layout import BIN

TABLES = Path(__file__).parent / "validation"
TYPES = {cls.resource.kind: cls for cls in KINDS}
# The server adds this where a wrong type keeps it from looking at the rules.
NOT_CHECKED = "some validation rules were not checked"

Object = dict[str, Any]
Kubectl = Callable[..., "subprocess.CompletedProcess[str]"]


def table(name: str) -> Any:
    return yaml.safe_load((TABLES / f"{name}.yaml").read_text())


def rights() -> list[Object]:
    own = [table(cls.resource.singular)["right"] for cls in KINDS]
    return [*yaml.safe_load_all((TABLES / "right.yaml").read_text()), *own]


def wrongs() -> list[Any]:
    cases = []
    for cls in KINDS:
        objects = table(cls.resource.singular)
        for case in objects["wrong"]:
            change = {part: case[part] for part in ("metadata", "spec") if part in case}
            name = f"{cls.resource.kind}: {case['what']}"
            cases.append(pytest.param(merged(objects["right"], change), case["errors"], id=name))
    return cases


def merged(value: Any, patch: Any) -> Any:
    """The value after a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), change)
    return result


class Project:
    """A namespace of its own, in which objects are made and changed."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.objects = client.CustomObjectsApi(api)
        self.namespace = namespace

    def create(self, body: Object, *, dry_run: bool = False) -> list[str]:
        """Creates the object; returns what the server has against it."""
        options = {"dry_run": "All"} if dry_run else {}
        call = self.objects.create_namespaced_custom_object
        return said(lambda: call(*self._place(body), body, field_validation="Strict", **options))

    def change(self, kind: str, name: str, patch: Object) -> list[str]:
        """Applies a merge patch; returns what the server has against it."""
        place = self._place({"kind": kind})
        return said(lambda: self.objects.patch_namespaced_custom_object(*place, name, patch))

    def get(self, kind: str, name: str) -> Object:
        found: Object = self.objects.get_namespaced_custom_object(*self._place({"kind": kind}), name)
        return found

    def _place(self, body: Object) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, TYPES[body["kind"]].resource.plural


def said(call: Callable[[], object]) -> list[str]:
    """The messages of the refusal, each with its field; none when the server agrees."""
    try:
        call()
    except client.ApiException as refusal:
        status = json.loads(refusal.body)
        causes = status.get("details", {}).get("causes")
        if not causes:
            return [status["message"]]
        messages = [f"{cause.get('field')}: {cause['message']}".removeprefix("<nil>: ") for cause in causes]
        return [message for message in messages if NOT_CHECKED not in message]
    return []


@pytest.fixture(scope="module")
def kubectl(kube_api: Any, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    cache = tmp_path_factory.mktemp("kubectl")

    def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(BIN / "kubectl"), f"--kubeconfig={kube_api.kubeconfig}", f"--cache-dir={cache}", *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.fixture(scope="module")
def crds(kubectl: Kubectl) -> None:
    """The CRDs as a user installs them: by kubectl apply, which keeps the whole in an annotation."""
    manifests = "---\n".join(render().values())
    applied = kubectl("apply", "-f", "-", given=manifests)
    assert applied.returncode == 0, applied.stderr
    names = [f"crd/{cls.resource.plural}.{GROUP}" for cls in KINDS]
    established = kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    assert established.returncode == 0, established.stderr


@pytest.fixture
def project(kube_api: Any, crds: None) -> Iterator[Project]:
    with config.new_client_from_config(str(kube_api.kubeconfig)) as api:
        core = client.CoreV1Api(api)
        name = core.create_namespace({"metadata": {"generateName": "validation-"}}).metadata.name
        yield Project(api, name)
        core.delete_namespace(name)


@pytest.mark.parametrize(("body", "errors"), wrongs())
def test_a_wrong_object_is_refused_in_these_words(project: Project, body: Object, errors: list[str]) -> None:
    assert project.create(body, dry_run=True) == errors


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(wrongs()) >= 40


@pytest.mark.parametrize("body", rights(), ids=lambda body: f"{body['kind']} {body['metadata']['name']}")
def test_a_right_object_passes_and_means_the_same_to_the_types(project: Project, body: Object) -> None:
    assert project.create(body) == []
    stored = project.get(body["kind"], body["metadata"]["name"])
    cls = TYPES[body["kind"]]
    # The defaults of the CRD are those of the types: filled in by the server or left out, both read the same.
    assert msgspec.convert(stored, cls).spec == msgspec.convert(body, cls).spec


def test_a_parameter_may_be_null(project: Project) -> None:
    body = merged(table("execution")["right"], {"spec": {"parameters": [{"name": "nothing", "value": None}]}})
    assert project.create(body) == []
    assert project.get("Execution", "train-7")["spec"]["parameters"] == [{"name": "nothing", "value": None}]


def test_defaults_are_in_the_object(project: Project) -> None:
    execution = table("execution")["right"] | {"metadata": {"name": "defaults"}}
    assert project.create(execution) == []
    assert project.get("Execution", "defaults")["spec"] == execution["spec"] | {
        "outputs": {"datumLimit": 256, "packs": "Auto"},
        "backoffLimit": 0,
        "stopGracePeriodSeconds": 30,
        "suspend": False,
        "stop": False,
    }
    store = table("datastore")["right"] | {"metadata": {"name": "defaults"}}
    assert project.create(store) == []
    spec = project.get("DataStore", "defaults")["spec"]
    assert spec["allowedNamespaces"] == {"from": "Same"}
    assert spec["tuning"] == {"concurrency": 16, "partSizeMiB": 16}


def test_only_these_changes_are_allowed(project: Project) -> None:
    names: dict[str, str] = {}
    for body in yaml.safe_load_all((TABLES / "right.yaml").read_text()):
        if body["kind"] not in names:
            assert project.create(body) == []
            names[body["kind"]] = body["metadata"]["name"]
    for case in table("changes"):
        errors = project.change(case["kind"], names[case["kind"]], {"spec": case["spec"]})
        assert errors == case.get("errors", []), f"{case['kind']}: {case['what']}"


def test_a_name_that_the_server_makes_up_fits(project: Project) -> None:
    assert project.create(table("execution")["right"] | {"metadata": {"generateName": "a" * 200}}) == []


def test_apply_works_from_the_client_and_from_the_server(project: Project, kubectl: Kubectl) -> None:
    for body in rights():
        for mode, answer in (("false", "created"), ("false", "unchanged"), ("true", "serverside-applied")):
            arguments = ("apply", f"--server-side={mode}", "-n", project.namespace, "-f", "-")
            done = kubectl(*arguments, given=json.dumps(body))
            assert done.returncode == 0, done.stderr
            assert done.stdout.split()[-1] == answer, body["metadata"]["name"]
        name = body["metadata"]["name"]
        assert project.get(body["kind"], name)["metadata"]["generation"] == 1


def test_get_shows_the_columns(project: Project, kubectl: Kubectl) -> None:
    for body in (table(cls.resource.singular)["right"] for cls in KINDS):
        assert project.create(body) == []
    headers = {
        "datastores": "NAME LOCATION DEFAULT READY REASON AGE",
        "executions": "NAME SUCCEEDED REASON PROGRESS OUTPUTS DURATION AGE",
        "datums": "NAME PATH SIZE FILES EXECUTION AGE",
    }
    for plural, short, header in zip(headers, ("dstore", "exn", "dtm"), headers.values(), strict=True):
        for name in (plural, short):
            assert kubectl("get", name, "-n", project.namespace).stdout.splitlines()[0].split() == header.split()


def test_the_plural_of_datum_means_datums_alone(project: Project, kubectl: Kubectl) -> None:
    for body in (table(cls.resource.singular)["right"] for cls in KINDS):
        assert project.create(body) == []
    [datum] = kubectl("get", "datums", "-n", project.namespace, "-o", "name").stdout.split()
    assert datum.startswith("datum.datums.dev/")
    everything = kubectl("get", CATEGORY, "-n", project.namespace, "-o", "name").stdout.split()
    assert len(everything) == len(KINDS)


def test_datums_are_found_by_their_execution(project: Project, kubectl: Kubectl) -> None:
    for body in rights():
        if body["kind"] == "Datum":
            assert project.create(body) == []
    for execution, count in (("train-7", 3), ("train-8", 0)):
        selector = f"--field-selector=spec.source.execution.name={execution}"
        found = kubectl("get", "datums", "-n", project.namespace, selector, "-o", "name")
        assert found.returncode == 0, found.stderr
        assert len(found.stdout.split()) == count


def test_explain_reads_like_documentation(crds: None, kubectl: Kubectl) -> None:
    explained = kubectl("explain", "execution.spec.inputs")
    assert explained.returncode == 0, explained.stderr
    text = " ".join(explained.stdout.split())
    assert "Files that are there before the command starts, each input in a directory of its own." in text
    assert "keepDirectories <string> enum: Full, None, Suffix Directories to make under the input's own." in text
    assert "name <string> -required- Name of the input, and of its directory; unique in the execution." in text
    for cls in KINDS:
        assert "<no description>" not in kubectl("explain", "--recursive", cls.resource.singular).stdout
        assert "<empty>" not in kubectl("explain", cls.resource.singular).stdout
    command = " ".join(kubectl("explain", "execution.spec.command").stdout.split())
    assert "A string, or a list of strings, run by `/bin/sh`" in command


def test_a_status_is_written_through_the_types(project: Project) -> None:
    """An Execution's fullest status passes the server's bounds and reads back the same."""
    assert project.create(table("execution")["right"]) == []
    status = table("status")
    place = (GROUP, VERSION, project.namespace, "executions", "train-7")
    project.objects.patch_namespaced_custom_object_status(*place, {"status": status})
    stored = project.get("Execution", "train-7")["status"]
    assert stored == status
    execution_status = msgspec.convert(stored, ExecutionStatus)
    assert json.loads(msgspec.json.encode(execution_status)) == status
    everything = {field.encode_name for field in msgspec.structs.fields(ExecutionStatus)}
    assert everything == set(status), "status.yaml has every field"
