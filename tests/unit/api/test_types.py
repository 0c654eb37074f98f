"""The kinds as types: what is read, what is written, and that names and reasons keep to their form."""

import re

import msgspec
import pytest

from datums.api import reasons
from datums.api.datastore import DataStore
from datums.api.datum import Datum
from datums.api.docstrings import own_docs
from datums.api.execution import Execution, ExecutionSpec, Input, Parameter
from datums.api.execution_status import ExecutionStatus, OutputsStatus
from datums.api.kinds import KINDS
from datums.api.meta import Root
from datums.api.reference import REASONS
from datums.model import links

STORE = {
    "apiVersion": "datums.dev/v1alpha1",
    "kind": "DataStore",
    "metadata": {"name": "ml-bucket", "namespace": "platform"},
    "spec": {
        "s3": {"bucket": "acme-ml", "endpoint": "https://s3.example.com", "forcePathStyle": True},
        "credentials": {"secretRef": {"name": "keys"}},
        "readable": ["raw/"],
        "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "churn"}}},
        "default": True,
        "tuning": {"concurrency": 4, "partSizeMiB": 8},
    },
    "status": {
        "location": "s3://acme-ml/datums",
        "capabilities": {"conditionalPut": True, "rangedGet": True, "versioning": False, "multipart": True},
    },
}
EXECUTION = {
    "apiVersion": "datums.dev/v1alpha1",
    "kind": "Execution",
    "metadata": {"name": "train-7", "namespace": "churn", "uid": "u", "generation": 1, "resourceVersion": "5"},
    "spec": {
        "image": "python:3.12",
        "command": ["python train.py {parameters}"],
        "parameters": [{"name": "epochs", "value": 5}, {"name": "tags", "value": ["a", 1, True, 0.5]}],
        "inputs": [{"name": "images", "links": ["s3://b/img/**"], "keepDirectories": "Full"}],
        "outputs": {"volume": {"emptyDir": {"sizeLimit": "2Gi"}}},
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}}],
        "resources": {"limits": {"nvidia.com/gpu": 1, "memory": "4Gi"}},
        "template": {"spec": {"nodeSelector": {"disk": "fast"}}},
    },
    "status": {},
}
DATUM = {
    "apiVersion": "datums.dev/v1alpha1",
    "kind": "Datum",
    "metadata": {"name": "01890f3e-1234-8abc-9abc-0123456789ab"},
    "spec": {
        "path": "model.pkl",
        "size": 0,
        "sha256": "e" * 64,
        "location": {"store": "platform/ml-bucket", "key": "k", "offset": 0},
        "source": {
            "execution": {"name": "train-7", "uid": "u", "attempt": 1},
            "manifest": {"store": "platform/ml-bucket", "key": "m", "sha256": "f" * 64},
        },
    },
    "status": {},
}


@pytest.mark.parametrize(("cls", "body"), [(DataStore, STORE), (Execution, EXECUTION), (Datum, DATUM)])
def test_an_object_is_written_as_it_was_read(cls: type[Root], body: object) -> None:
    read = msgspec.json.decode(msgspec.json.encode(body), type=cls)
    assert msgspec.json.decode(msgspec.json.encode(read)) == body


def test_what_a_newer_version_adds_is_ignored() -> None:
    newer = EXECUTION | {"spec": {"image": "i", "command": "c", "weather": {"sunny": True}}, "extra": 1}
    assert msgspec.convert(newer, Execution).spec == ExecutionSpec(image="i", command="c")


def test_numbers_that_are_zero_are_written() -> None:
    status = ExecutionStatus(exit_code=0, outputs=OutputsStatus(files=0, bytes=0))
    assert msgspec.to_builtins(status) == {"exitCode": 0, "outputs": {"files": 0, "bytes": 0}}


def test_a_parameter_keeps_the_type_of_its_value() -> None:
    values = ["5", 5, 5.5, True, ["a", 1, False], None]
    read = [msgspec.convert({"name": "x", "value": value}, Parameter).value for value in values]
    assert [list(value) if isinstance(value, tuple) else value for value in read] == values
    assert [type(value) for value in read] == [str, int, float, bool, tuple, type(None)]


@pytest.mark.parametrize("command", [5, True, {"run": "x"}, ["x", 5], [["x"]]])
def test_a_command_is_a_string_or_strings(command: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape("$.command")):
        msgspec.convert({"image": "i", "command": command}, ExecutionSpec)


def test_the_crd_takes_the_schemes_that_links_are_read_by() -> None:
    schema = msgspec.json.schema(Input)["$defs"]["Input"]["properties"]["links"]
    message = schema["anyOf"][0]["items"]["x-kubernetes-validations"][0]["message"]
    assert message == f"a link must begin with one of {' '.join(links.SCHEMES)}"


def test_every_reason_is_explained_and_fits_a_condition() -> None:
    groups = [each for each in vars(reasons).values() if isinstance(each, type) and each.__module__ == reasons.__name__]
    assert groups == list(REASONS.values())
    for group in groups:
        for reason in group:
            assert re.fullmatch("[A-Z][A-Za-z0-9]*", reason)
            assert own_docs(group)[reason.name].endswith(".")


def test_no_short_name_shadows_another() -> None:
    names = [name for cls in KINDS for name in (cls.resource.plural, cls.resource.singular, *cls.resource.short_names)]
    assert len(set(names)) == len(names)
