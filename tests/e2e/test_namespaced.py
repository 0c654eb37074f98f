"""The operator with rights in some namespaces only (`rbac.scope: namespace`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubernetes import client

from demo import tools
from demo.operator import install
from tests.e2e.conftest import NAMESPACES, S3, ConnectedProject
from tests.e2e.kit import eventually

RELEASE = "scoped"


@pytest.fixture
def scoped_project(operator: str, s3: S3) -> Iterator[ConnectedProject]:
    """A project with an operator of its own. The operator of the whole cluster rests meanwhile: two must not do the same work."""
    project = ConnectedProject.made(s3, "scoped")
    deployments = client.AppsV1Api()

    def scale(replicas: int) -> None:
        deployments.patch_namespaced_deployment_scale("datums", operator, {"spec": {"replicas": replicas}})

    def rests() -> bool:
        return not client.CoreV1Api().list_namespaced_pod(operator, label_selector="app.kubernetes.io/instance=datums").items

    scale(0)
    eventually("the operator of the whole cluster rests", rests)
    values = ["rbac.scope=namespace", f"rbac.namespaces={{{project.namespace}}}", "crds.install=false", "replicas=1"]
    arguments = [part for value in values for part in ("--set", value)]
    NAMESPACES.append(f"{project.namespace}-operator")
    install(*arguments, release=RELEASE, namespace=f"{project.namespace}-operator")
    try:
        yield project
    finally:
        tools.output("helm", "uninstall", RELEASE, "--namespace", f"{project.namespace}-operator", "--wait")
        scale(2)


def test_two_executions_chained_in_the_only_namespace_it_may_touch(scoped_project: ConnectedProject) -> None:
    project = scoped_project
    project.apply(project.secret("s3"))
    project.connect("store")
    project.store_is("True")
    first = project.run("echo one > /valohai/outputs/one").succeeds()
    second = project.run("cat /valohai/inputs/x/one > /valohai/outputs/two", inputs=[{"name": "x", "link": first.link("one")}])
    assert second.succeeds().saved() == {"two": b"one\n"}
    who = f"system:serviceaccount:{project.namespace}-operator:{RELEASE}"
    for verb, group, resource in (("list", "datums.dev", "executions"), ("get", "", "secrets"), ("create", "", "pods")):
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": "default"}
        answer = client.AuthorizationV1Api().create_subject_access_review({"spec": {"user": who, "resourceAttributes": asked}})
        assert not answer.status.allowed, asked
