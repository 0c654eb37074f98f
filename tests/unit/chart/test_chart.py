"""What the chart renders, as the API server would read it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from datums.api.names import GROUP
from datums.control.ownpod import LABEL_LEADER
from datums.control.settings import Settings, load, unknown
from tests.unit.chart.conftest import CHART, ROOT, Object, Rendered

Render = Callable[..., Rendered]
Run = Callable[..., subprocess.CompletedProcess[str]]
EVERYTHING = (
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "networkPolicy.enabled=true",
)


def allowed(role: Object) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of a role."""
    rules = role["rules"]
    return {(g, r, v) for rule in rules for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}


def test_lint_finds_nothing(helm: Run) -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.34.4")
    assert done.returncode == 0, done.stdout


def test_it_is_refused_on_a_kubernetes_without_native_sidecars(helm: Run) -> None:
    done = helm("template", "datums", str(CHART), "--kube-version", "1.28.15")
    assert done.returncode != 0
    assert "1.29.0" in done.stderr


def test_two_renderings_are_the_same(render: Render) -> None:
    assert render(*EVERYTHING).objects == render(*EVERYTHING).objects


def test_the_crds_are_those_of_the_repository_and_are_kept(render: Render) -> None:
    rendered = {each["metadata"]["name"]: each for each in render().all("CustomResourceDefinition")}
    source = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert rendered.keys() == {each["metadata"]["name"] for each in source}
    for crd in source:
        ours = rendered[crd["metadata"]["name"]]
        assert ours["spec"] == crd["spec"]
        assert ours["metadata"]["annotations"] == {
            "helm.sh/resource-policy": "keep",
            "argocd.argoproj.io/sync-options": "ServerSideApply=true",
        }


def test_crds_can_be_left_out_or_removed_with_the_release(render: Render) -> None:
    assert render("crds.install=false").all("CustomResourceDefinition") == []
    for crd in render("crds.keep=false").all("CustomResourceDefinition"):
        assert "helm.sh/resource-policy" not in crd["metadata"]["annotations"]


def test_the_operator_takes_its_environment(render: Render) -> None:
    env = render(
        "image.repository=r.example.com/datums", "image.tag=v1", "settings.sweepSeconds=1000000", "settings.workers=4"
    ).env()
    assert unknown(env) == []
    settings = load(env)
    assert (settings.image, settings.sweep_seconds, settings.workers) == ("r.example.com/datums:v1", 1e6, 4)
    assert settings.agent_service == "datums-agent"
    assert settings.lease_name == "datums"
    assert settings.namespaces == ()


def test_whole_numbers_of_a_values_file_have_no_exponent(helm: Run, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("settings: {terminationGraceSeconds: 1000000, leaseSeconds: 17.5}")
    done = helm("template", "datums", str(CHART), "--kube-version", "1.34.4", "--values", str(values))
    settings = load(Rendered(done.stdout).env())
    assert (settings.termination_grace_seconds, settings.lease_seconds) == (1_000_000, 17.5)


def test_ports_are_those_that_the_operator_listens_on(render: Render) -> None:
    (operator,) = render().one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert {p["name"]: p["containerPort"] for p in operator["ports"]} == {
        "metrics": Settings().metrics_port,
        "agent": Settings().agent_port,
    }


def test_the_agent_service_leads_to_the_leader_only(render: Render) -> None:
    rendered = render()
    pod = rendered.one("Deployment")["spec"]["template"]["metadata"]["labels"]
    agent = rendered.one("Service", "datums-agent")["spec"]["selector"]
    assert agent.items() - pod.items() == {(LABEL_LEADER, "true")}
    assert rendered.one("Service", "datums-metrics")["spec"]["selector"].items() <= pod.items()


def test_the_operator_is_not_taken_for_the_pod_of_an_execution(render: Render) -> None:
    assert render().one("Deployment")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] != "datums"


def test_the_pod_meets_the_restricted_standard(render: Render) -> None:
    pod = render().one("Deployment")["spec"]["template"]["spec"]
    (operator,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert operator["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_roles_ask_for_no_more_than_the_table(render: Render) -> None:
    rights = allowed(render().one("ClusterRole"))
    assert not any("*" in part for right in rights for part in right)
    assert {verb for _, resource, verb in rights if resource == "secrets"} == {"get", "create", "patch", "delete"}
    assert ("", "secrets", "list") not in rights
    assert not any(verb == "delete" for _, resource, verb in rights if resource in ("datums", "datastores"))


def test_scope_namespace_gives_rights_in_these_namespaces_alone(render: Render) -> None:
    rendered = render("rbac.scope=namespace", "rbac.namespaces={a,b}", "rbac.aggregate=false", "rbac.tokenReviews=false")
    assert rendered.all("ClusterRole") == rendered.all("ClusterRoleBinding") == []
    roles = {(r["metadata"]["namespace"], r["metadata"]["name"]): r for r in rendered.all("Role")}
    assert roles.keys() == {("a", "datums"), ("b", "datums"), ("sys", "datums-leader")}
    assert allowed(roles["a", "datums"]) == allowed(render().one("ClusterRole"))
    assert load(rendered.env()).namespaces == ("a", "b")
    assert load(rendered.env()).agent_service == ""


def test_scope_namespace_is_the_release_own_by_default(render: Render) -> None:
    assert load(render("rbac.scope=namespace").env()).namespaces == ("sys",)


def test_the_kinds_join_the_roles_of_the_cluster(render: Render) -> None:
    rendered = render()
    assert (GROUP, "executions", "get") in allowed(rendered.one("ClusterRole", "datums-view"))
    assert (GROUP, "executions", "create") in allowed(rendered.one("ClusterRole", "datums-edit"))
    assert (GROUP, "datums", "create") not in allowed(rendered.one("ClusterRole", "datums-edit"))
    assert (GROUP, "datastores", "create") in allowed(rendered.one("ClusterRole", "datums-admin"))


def test_a_disruption_budget_needs_a_second_replica(render: Render) -> None:
    assert render().one("PodDisruptionBudget")["spec"]["minAvailable"] == 1
    assert render("replicas=1").all("PodDisruptionBudget") == []


def test_options_are_off_until_asked_for(render: Render) -> None:
    kinds = {"ServiceMonitor", "PrometheusRule", "ConfigMap", "NetworkPolicy"}
    assert kinds.isdisjoint(each["kind"] for each in render().objects)
    assert kinds <= {each["kind"] for each in render(*EVERYTHING).objects}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("replica=3", "replica"),
        ("image.pullpolicy=Always", "pullpolicy"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("rbac.scope=team", "scope"),
        ("rbac.namespaces={a}", "rbac.namespaces is only for rbac.scope: namespace"),
        ("settings.sweepSecond=3", "sweepSecond"),
        ("settings.workers=many", "workers"),
        ("settings.logLevel=LOUD", "logLevel"),
        ("settings.image=x", "image"),
        ("serviceAccount.create=false", "serviceAccount.name must be set"),
        ("image.digest=latest", "digest"),
    ],
)
def test_wrong_values_are_refused_by_name(refused: Callable[[str], str], value: str, says: str) -> None:
    assert says in refused(value)
