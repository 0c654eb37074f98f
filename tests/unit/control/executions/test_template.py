from __future__ import annotations

from typing import Any

import pytest

from datums.control.executions import template
from datums.control.executions.errors import NotStartable
from tests.unit.control.executions.kit import execution

CREDENTIALS = "datums-attempt-12345678-1"


def main(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", **fields}]}


def mount(name: str = "v", path: str = "/x") -> dict[str, Any]:
    return main(volumeMounts=[{"name": name, "mountPath": path}])


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"initContainers": [{"name": "x"}]}, "spec.template.spec.initContainers"),
    ({"ephemeralContainers": [{"name": "x"}]}, "ephemeralContainers"),
    ({"containers": [{"name": "ship"}]}, "containers[0].name"),
    ({"containers": [{"name": "sidecar"}]}, "containers[0].name"),
    ({"containers": [{"name": "main"}, {"name": "main"}]}, "2 times"),
    ({"containers": "x"}, "containers"),
    ({"containers": ["x"]}, "containers[0]"),
    (main(image="x"), "spec.image"),
    (main(command=["x"]), "spec.command"),
    (main(args=["x"]), "spec.command"),
    (main(env=[]), "spec.env"),
    (main(resources={}), "spec.resources"),
    ({"restartPolicy": "Always"}, "backoffLimit"),
    ({"activeDeadlineSeconds": 5}, "spec.activeDeadlineSeconds"),
    ({"shareProcessNamespace": True}, "shareProcessNamespace"),
    ({"hostPID": True}, "hostPID"),
    ({"volumes": [{"name": "datums-secret"}]}, "volumes[0].name"),
    (mount(name="datums-secret"), "volumeMounts[0].name"),
    (mount(path="/datums"), "mountPath"),
    (mount(path="/datums/run/"), "mountPath"),
    (mount(path="/valohai/outputs"), "mountPath"),
    (mount(path="//valohai//outputs"), "mountPath"),
    (mount(path="/x/../valohai"), "mountPath"),
    (mount(path="/"), "mountPath"),
    (main(volumeDevices=[{"name": "datums-outputs", "devicePath": "/dev/x"}]), "volumeDevices[0].name"),
    ({"volumes": [{"name": "v", "secret": {"secretName": CREDENTIALS}}]}, CREDENTIALS),
    ({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": CREDENTIALS}}]}}]}, CREDENTIALS),
    ({"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": CREDENTIALS}}}]}, CREDENTIALS),
    ({"imagePullSecrets": [{"name": CREDENTIALS}]}, CREDENTIALS),
    ({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"audience": "datums"}}]}}]}, "audience"),
]


@pytest.mark.parametrize(("spec", "words"), REFUSED)
def test_refused(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(NotStartable) as refused:
        template.check(execution(template={"spec": spec}).spec)
    assert refused.value.reason == "InvalidPodTemplate"
    assert not refused.value.waits
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "spec",
    [
        {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": CREDENTIALS, "key": "plan.json"}}}]},
        {"envFrom": [{"secretRef": {"name": CREDENTIALS}}]},
    ],
)
def test_environment_that_reaches_for_the_credentials_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(NotStartable, match=CREDENTIALS):
        template.check(execution(**spec).spec)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}], "hostPID": False},
        {"volumes": [{"name": "v", "emptyDir": {}}], **mount(path="/valohai-data")},
        {"volumes": [{"name": "v", "secret": {"secretName": "datums-attempts"}}]},
        main(securityContext={"runAsUser": 5}),
    ],
)
def test_taken(spec: dict[str, Any]) -> None:
    template.check(execution(template={"spec": spec}, env=[{"name": "X", "value": CREDENTIALS}]).spec)


def test_what_says_whose_an_object_is_does_not_get_into_the_pod() -> None:
    labels = {"app.kubernetes.io/instance": "x", "app.kubernetes.io/managed-by": "x", "datums.dev/attempt": "9", "team": "a"}
    annotations = {"argocd.argoproj.io/tracking-id": "x", "datums.dev/stop": "1", "note": "b"}
    spec = execution(template={"metadata": {"labels": labels, "annotations": annotations}}).spec
    assert template.labels_of(spec) == {"team": "a"}
    assert template.annotations_of(spec) == {"note": "b"}
