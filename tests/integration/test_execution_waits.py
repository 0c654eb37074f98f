"""Executions that cannot begin: what they wait for, and what they are refused for."""

from __future__ import annotations

from typing import Any

import pytest

from datums.control.kube import DATASTORES, NAMESPACES, PODS, Forbidden, Kube, Obj
from datums.control.resources import Resource
from tests.integration.executions_kit import Project, waiting
from tests.integration.kube_fixture import eventually


async def test_unschedulable_is_shown_and_ends_at_the_deadline(project: Project) -> None:
    run = await project.run(activeDeadlineSeconds=60)
    await run.step()
    pod = await run.pod()
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no GPU"}
    await pod.is_("Pending", conditions=(said,))
    assert await run.condition() == ("Unknown", "Queued", "0/1 nodes: no GPU")
    project.skew = 61
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "Unschedulable")
    assert "no GPU" in message
    assert await run.pods() == []


async def test_an_image_that_cannot_be_pulled(project: Project) -> None:
    run = await project.run()
    pod = await run.started(main=waiting("ImagePullBackOff", "no such image"))
    assert (await run.condition())[1] == "Pulling"
    project.skew = 130
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "ImagePullFailed")
    assert "no such image" in message
    assert (await pod.get())["metadata"]["deletionTimestamp"]


async def test_it_waits_for_a_store_and_goes_on(bare: Project) -> None:
    run = await bare.run()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "StoreNotReady")
    assert "no DataStore" in message
    await bare.connect(s3={"bucket": "no-such-bucket"}, name="broken")
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "StoreNotReady")
    assert "BucketNotFound" in message
    await bare.connect()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "AmbiguousStore")
    assert "broken" in message
    await bare.kube.patch(DATASTORES, bare.namespace, "broken", {"spec": {"default": False}})
    await run.step()
    assert len(await run.pods()) == 1


async def test_what_cannot_be_shared_waits_and_what_cannot_be_ends(project: Project) -> None:
    missing = "c8ce0029-8881-8740-850d-2eb6b51bd4bb"
    theirs = await project.run("theirs", inputs=[{"name": "x", "link": f"datum://{missing}@other"}])
    status, reason, message = await theirs.condition()
    assert (status, reason) == ("Unknown", "NotShared")
    assert "other" in message
    mine = await project.run("mine", inputs=[{"name": "x", "link": f"datum://{missing}"}])
    status, reason, message = await mine.condition()
    assert (status, reason) == ("False", "InputNotFound")
    assert missing in message
    style = await project.run("style", parameters=[{"name": "p", "value": 1, "style": "--{nmae}"}])
    assert (await style.condition())[:2] == ("False", "InvalidSpec")


class NoNamespaces(Kube):
    """The real seam of an operator that may not read namespaces."""

    def __init__(self, kube: Kube) -> None:
        self.__dict__.update(kube.__dict__)

    async def get(self, res: Resource, ns: str | None, name: str, *, metadata_only: bool = False) -> Obj:
        if res is NAMESPACES:
            raise Forbidden(403, "Forbidden", "not yours")
        return await super().get(res, ns, name, metadata_only=metadata_only)


@pytest.mark.parametrize("may_read", [True, False], ids=["label", "server's word"])
async def test_a_namespace_that_enforces_restricted(project: Project, may_read: bool) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await project.kube.patch(NAMESPACES, None, project.namespace, label)
    run = await project.run()
    await project.step("train", None if may_read else NoNamespaces(project.kube))
    pod = await run.pod()
    assert pod.body["spec"]["securityContext"]["runAsUser"] == 1000
    root = await project.run("root", template={"spec": {"securityContext": {"runAsUser": 0}}})
    status, reason, message = await root.condition()
    assert (status, reason) == ("False", "InvalidPodTemplate")
    assert "PodSecurity" in message


async def test_a_quota_holds_it_up_and_not_for_good(project: Project) -> None:
    quotas = Resource("", "v1", "resourcequotas", "ResourceQuota")
    await project.kube.create(quotas, project.namespace, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    none = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    await project.kube.patch(quotas, project.namespace, "none", {"status": none}, subresource="status")
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "x", "image": "x"}]}}

    async def in_force() -> bool:
        try:
            await project.kube.create(PODS, project.namespace, probe, dry_run=True)
        except Forbidden:
            return True
        return False

    await eventually(in_force)
    run = await project.run()
    status, reason, message = await run.condition()
    assert (status, reason) == ("Unknown", "Resolving")
    assert "quota" in message
    await project.kube.delete(quotas, project.namespace, "none")

    async def goes_on() -> bool:
        await run.step()
        return bool(await run.pods())

    await eventually(goes_on, every=0.3)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"tolerations": [{"operator": "Sometimes"}]}, "tolerations"),
        ({"nodeSelector": ["a"]}, "nodeSelector"),
        ({"nodeSelectr": {}}, "nodeSelectr"),
        ({"volumes": [{"name": "c", "secret": {"secretName": "datums-attempt-12345678-1"}}]}, "datums-attempt-12345678-1"),
        ({"initContainers": [{"name": "mine"}]}, "initContainers"),
    ],
)
async def test_a_template_that_is_refused(project: Project, template: Any, words: str) -> None:
    run = await project.run(template={"spec": template})
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "InvalidPodTemplate")
    assert words in message
    assert await run.pods() == []
    assert await run.secret(1) is None
