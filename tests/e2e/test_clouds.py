"""Several clouds in one execution: inputs from Google Cloud Storage, outputs to Azure, both by real servers beside the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from azure.storage.blob import BlobServiceClient
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from datums.model.plan import StoreAccess
from datums.stores import open_store
from testbed.azurite import AzuriteServer
from testbed.components import NODE_ADDRESS
from testbed.fake_gcs import FakeGcsServer
from tests.e2e.conftest import ConnectedProject
from tests.e2e.kit import GROUP, VERSION, Object, Project
from tests.integration.gcs_fixture import key_file

BUCKET, CONTAINER = "acme-raw", "results"
IMAGES = {f"raw/images/{name}": name.encode() * 1000 for name in ("a/1.png", "a/2 ü.png", "b/3.png")}


class Clouds(NamedTuple):
    gcs: FakeGcsServer
    azure: AzuriteServer


@pytest.fixture(scope="module")
def clouds() -> Iterator[Clouds]:
    """Both servers, at the address of the node; the images in the one, a container in the other."""
    if os.environ.get("CLUSTER") == "current":
        pytest.skip("the servers of this story listen on the testbed's own bridge")
    with FakeGcsServer(host=NODE_ADDRESS) as gcs, AzuriteServer(host=NODE_ADDRESS) as azure:
        client = storage.Client("test", AnonymousCredentials(), client_options={"api_endpoint": gcs.endpoint})
        bucket = client.create_bucket(BUCKET)
        for key, data in IMAGES.items():
            bucket.blob(key).upload_from_string(data)
        client.close()
        with BlobServiceClient(azure.endpoint, credential={"account_name": azure.account, "account_key": azure.key}) as service:
            service.create_container(CONTAINER)
        yield Clouds(gcs, azure)


def connected(project: Project, name: str, keys: dict[str, str], **spec: Any) -> None:
    """Makes a Secret and a DataStore, and waits until it is ready."""
    secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}
    spec = {"credentials": {"secretRef": {"name": name}}, **spec}
    store = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "DataStore", "metadata": {"name": name}, "spec": spec}
    project.apply(secret, store)
    project.store_is("True", name=name)


@pytest.fixture(scope="module")
def across(project: ConnectedProject, clouds: Clouds) -> Project:
    """The project as it is seen from Azure."""
    gcs, azure = clouds
    connected(
        project,
        "google",
        {"service-account.json": key_file()},
        gcs={"bucket": BUCKET, "endpoint": gcs.endpoint},
        readable=["raw/"],
    )
    keys = {"AZURE_STORAGE_KEY": azure.key}
    place = {"account": azure.account, "container": CONTAINER, "endpoint": azure.endpoint}
    connected(project, "azure", keys, azure=place, readable=["datums/"])
    access = StoreAccess(
        kind="azure", name="e2e/azure", bucket=CONTAINER, account=azure.account, prefix="datums", endpoint=azure.endpoint
    )
    return Project(project.namespace, open_store(access, keys), "datums")


def test_an_execution_reads_from_one_cloud_and_saves_to_another(across: Project, project: ConnectedProject) -> None:
    run = across.run(
        "cd /valohai/inputs/images && tar cf - . | tar xf - -C /valohai/outputs && sha256sum a/* b/* > /valohai/outputs/sums",
        inputs=[{"name": "images", "link": f"gs://{BUCKET}/raw/images/**", "keepDirectories": "Suffix"}],
        outputs={"store": "azure"},
    ).succeeds()
    saved = run.saved()
    assert saved.pop("sums").count(b"\n") == len(IMAGES)
    assert saved == {key.removeprefix("raw/images/"): data for key, data in IMAGES.items()}
    (pinned,) = run.status["inputs"]["pinned"]
    assert (pinned["link"], pinned["files"]) == (f"gs://{BUCKET}/raw/images/**", len(IMAGES))
    assert pinned["pinned"].startswith(f"gs://{BUCKET}/raw/images/**#tree-sha256=")
    assert {"queued", "pulled", "downloaded", "ran", "uploaded", "committed"} == run.status["timings"].keys()

    datum = run.datum("b/3.png")
    assert datum["spec"]["location"]["store"] == f"{project.namespace}/azure"
    back = project.run(
        "cat /valohai/inputs/datum/* > /valohai/outputs/one && cat /valohai/inputs/blob/* > /valohai/outputs/two",
        name="back",
        inputs=[
            {"name": "datum", "link": run.link("b/3.png")},
            {"name": "blob", "link": f"azure://acme/{CONTAINER}/{datum['spec']['location']['key']}"},
        ],
    ).succeeds()
    assert back.saved() == {"one": IMAGES["raw/images/b/3.png"], "two": IMAGES["raw/images/b/3.png"]}


def test_a_public_bucket_is_read_without_credentials(across: Project, clouds: Clouds) -> None:
    spec = {"gcs": {"bucket": BUCKET, "endpoint": clouds.gcs.endpoint}, "credentials": {"anonymous": True}}
    across.apply({"apiVersion": f"{GROUP}/{VERSION}", "kind": "DataStore", "metadata": {"name": "public"}, "spec": spec})
    across.store_is("True", name="public")
    link = "store://public/raw/images/a/*"
    run = across.run("cat /valohai/inputs/x/* > /valohai/outputs/x", name="public", inputs=[{"name": "x", "link": link}]).succeeds()
    assert run.status["inputs"]["files"] == 2
    both = across.run("true", name="both", inputs=[{"name": "x", "link": f"gs://{BUCKET}/raw/images/a/*"}])
    both.waits("AmbiguousStore", "write store://google/<key> or store://public/<key>")
    refused = across.run("true", name="refused", outputs={"store": "public"})
    refused.waits("StoreNotReady", "nothing can be saved without credentials")
    for one in (both, refused):
        one.delete()


def test_kubectl_shows_where_each_store_is(across: Project) -> None:
    lines = across.kubectl("get", "datastores").splitlines()
    assert lines[0].split()[:4] == ["NAME", "LOCATION", "DEFAULT", "READY"]
    shown = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert (shown["azure"], shown["google"]) == (f"azure://acme/{CONTAINER}/datums", f"gs://{BUCKET}/datums")


def test_a_bucket_of_google_that_no_store_has_is_told(across: Project) -> None:
    run = across.run("true", inputs=[{"name": "x", "link": "gs://nowhere/x"}])
    run.waits("StoreNotReady", "has gs://nowhere: create one", f"{across.namespace}/google (gs://{BUCKET})")
    run.delete()
