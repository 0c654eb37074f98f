from __future__ import annotations

from typing import Any

import pytest

from datums.control.executions.attempt import pod_name, secret_name
from datums.control.executions.pods import build, ignored_variables
from datums.control.executions.users import users
from datums.control.settings import Settings
from tests.unit.control.executions.kit import UID, execution

SETTINGS = Settings(kubeconfig="x")


def built(restricted: bool = False, settings: Settings = SETTINGS, **spec: Any) -> dict[str, Any]:
    return build(execution(**spec), 1, "true", restricted=restricted, settings=settings)


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for c in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]}


def mounts(pod: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for m in containers(pod)[name]["volumeMounts"]}


def test_names_are_deterministic_and_short() -> None:
    long = execution(name="a" * 63)
    assert pod_name(execution(), 1) == pod_name(execution(), 1)
    assert pod_name(execution(), 1) != pod_name(execution(), 2)
    assert len(pod_name(long, 100)) == 63
    assert pod_name(execution(name="a" * 54 + ".b.c"), 1).startswith("a" * 54 + "-1-")
    assert secret_name(execution(), 3) == f"datums-attempt-{UID[:8]}-3"


def test_main_has_no_credential_and_no_token() -> None:
    pod = built()
    assert mounts(pod, "main").keys() == {"datums-run", "datums-inputs", "datums-config", "datums-outputs", "datums-repository"}
    assert mounts(pod, "gate").keys() == {"datums-run"}
    assert all(mounts(pod, "main")[f"datums-{name}"].get("readOnly") for name in ("run", "inputs", "config"))
    assert mounts(pod, "main")["datums-outputs"]["subPath"] == "files"
    assert "subPath" not in mounts(pod, "ship")["datums-outputs"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "datums-secret" in mounts(pod, "ship") and "datums-secret" in mounts(pod, "fetch")


def test_every_mount_has_its_volume() -> None:
    pod = built()
    volumes = [v["name"] for v in pod["spec"]["volumes"]]
    assert len(volumes) == len(set(volumes))
    assert {m["name"] for c in containers(pod).values() for m in c["volumeMounts"]} == set(volumes)


def test_the_users_variables_win_except_those_of_the_contract() -> None:
    env = [{"name": "VH_JOB_ID", "value": "mine"}, {"name": "MODE", "value": "full"}]
    spec = execution(env=env).spec
    found = {e["name"]: e.get("value") for e in containers(built(env=env))["main"]["env"]}
    assert found["VH_JOB_ID"] == f"exec-{UID}"
    assert found["VH_EXECUTION_ID"] == UID
    assert found["MODE"] == "full"
    assert "VALOHAI_PORT" not in found
    assert ignored_variables(spec) == ["VH_JOB_ID"]


def test_the_template_is_merged() -> None:
    extra = {
        "nodeSelector": {"gpu": "yes"},
        "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}], "tty": True}],
        "imagePullSecrets": [{"name": "mine"}],
    }
    pod = built(template={"spec": extra}, settings=Settings(kubeconfig="x", image_pull_secrets=("ours",)))
    spec = pod["spec"]
    assert (spec["nodeSelector"], spec["terminationGracePeriodSeconds"]) == ({"gpu": "yes"}, 5)
    assert [s["name"] for s in spec["imagePullSecrets"]] == ["mine", "ours"]
    assert spec["volumes"][-1]["name"] == "scratch"
    main = containers(pod)["main"]
    assert main["tty"] is True
    assert main["volumeMounts"][-1]["name"] == "scratch"
    assert len(main["volumeMounts"]) == 6
    assert spec["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("volume", "built_volume"),
    [
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
        (
            {"claimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}},
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
        ),
    ],
)
def test_the_outputs_volume(volume: dict[str, Any], built_volume: dict[str, Any]) -> None:
    found = next(v for v in built(outputs={"volume": volume})["spec"]["volumes"] if v["name"] == "datums-outputs")
    assert found == {"name": "datums-outputs", **built_volume}


ROOT_SHIP = {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}
USERS: list[tuple[str, dict[str, Any], dict[str, Any], bool, int, dict[str, Any]]] = [
    ("nobody says", {}, {}, False, 0, ROOT_SHIP),
    ("the pod says", {"runAsUser": 1000}, {}, False, 1000, {"drop": ["ALL"]}),
    ("main says", {}, {"runAsUser": 65534}, False, 65534, {"drop": ["ALL"]}),
    ("main wins", {"runAsUser": 1000}, {"runAsUser": 2000}, False, 2000, {"drop": ["ALL"]}),
    ("root says", {"runAsUser": 0}, {}, False, 0, ROOT_SHIP),
    ("restricted", {}, {}, True, 1000, {"drop": ["ALL"]}),
    ("restricted, the pod says", {"runAsUser": 7}, {}, True, 7, {"drop": ["ALL"]}),
]


@pytest.mark.parametrize(
    ("pod", "main", "restricted", "user", "capabilities"), [row[1:] for row in USERS], ids=[row[0] for row in USERS]
)
def test_users(pod: dict[str, Any], main: dict[str, Any], restricted: bool, user: int, capabilities: dict[str, Any]) -> None:
    who = users(pod, main, restricted, 1000)
    assert who.ship["runAsUser"] == user
    assert who.ship["capabilities"] == capabilities
    assert who.fetch["capabilities"] == who.gate["capabilities"] == {"drop": ["ALL"]}
    for ours in (who.fetch, who.ship, who.gate):
        assert ours["readOnlyRootFilesystem"] is True
        assert ours["allowPrivilegeEscalation"] is False
    if restricted:
        assert who.pod["runAsNonRoot"] is True
        assert who.main["capabilities"] == {"drop": ["ALL"]}
    if restricted and not pod:
        assert (who.pod["runAsUser"], who.pod["fsGroup"]) == (1000, 1000)
    if not restricted:
        assert (who.pod, who.main) == (pod, main)


def test_every_container_fits_a_quota() -> None:
    for name, container in containers(built(settings=Settings(kubeconfig="x", transfer_cpu_limit="1"))).items():
        if name != "main":
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert container["resources"]["limits"].keys() == {"cpu", "memory"}
