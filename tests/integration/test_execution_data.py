"""What executions tell of their data, on a real API server and a real S3 server: packs, progress, raw links."""

from __future__ import annotations

import json

import pytest

from datums.model.plan import DatumSource, ObjectsSource
from tests.integration.executions_kit import Project, ended, running, waiting

FILES = {f"many/{n:03}.txt": f"{n}\n".encode() for n in range(100)}
STUCK = "s3://acme/raw/x: no byte since 12:00:01 UTC; still trying"


async def test_files_in_packs_are_datums_like_others(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.main_ended(0)
    await pod.commits(FILES, packed=True)
    pod.reports("Committed")
    assert (await run.condition())[:2] == ("True", "Committed")
    datum = next(d for d in await run.datums() if d["spec"]["path"] == "many/042.txt")
    location = datum["spec"]["location"]
    assert location["key"].endswith("/1/packs/0.tar") and location["offset"] > 0
    reader = await project.run("reader", inputs=[{"name": "x", "link": f"datum://{datum['metadata']['name']}"}])
    await reader.step()
    plan, _ = await (await reader.pod()).plan()
    (source,) = plan.inputs[0].sources
    assert isinstance(source, DatumSource)
    assert (source.key, source.offset, source.size) == (location["key"], location["offset"], 3)
    data = project.server.boto().get_object(Bucket=project.bucket, Key=source.key)["Body"].read()
    assert data[source.offset :][: source.size] == b"42\n"


async def test_a_place_within_a_file_that_is_no_pack_is_not_believed(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    await pod.commits({"a": b"x"}, offset=512)
    await pod.over()
    status, reason, message = await run.condition()
    assert (status, reason) == ("False", "OutputsLost")
    assert "'a' begins at byte 512" in message and "no pack" in message


@pytest.mark.parametrize("packs", ["Auto", "Never"])
async def test_whether_outputs_are_packed_is_in_the_plan(project: Project, packs: str) -> None:
    run = await project.run(outputs={"packs": packs})
    await run.step()
    plan, _ = await (await run.pod()).plan()
    assert plan.output.packs == packs


async def test_progress_is_in_the_status(project: Project) -> None:
    run = await project.run(inputs=[{"name": "x", "link": f"s3://{project.bucket}/raw/x"}])
    await run.step()
    pod = await run.pod()
    await pod.bind()
    await pod.is_("Pending", fetch=running(), main=waiting("PodInitializing"))
    pod.reports("Downloading", files=1, total_files=4, bytes=10_000_000, total_bytes=40_000_000, rate=5e6)
    told = "inputs: 1 of 4 files, 10 MB of 40 MB, 5 MB/s, 6s left"
    assert await run.condition() == ("Unknown", "Downloading", told)
    assert (await run.status())["progress"] == "1/4 in, 25%"
    pod.reports("Downloading", files=1, total_files=4, bytes=10_000_000, total_bytes=40_000_000, trouble=STUCK)
    assert (await run.condition())[2] == f"inputs: 1 of 4 files, 10 MB of 40 MB; {STUCK}"
    fetched = json.dumps({"files": 4, "bytes": 40_000_000, "seconds": 8.25})
    await pod.is_(fetch=ended(0, message=fetched), ship=running(), main=running(), gate=running())
    assert await run.condition() == ("Unknown", "Running", "the command runs")
    assert (await run.status())["timings"]["downloaded"] == 8.25
    await pod.main_ended(0)
    pod.reports("Uploading", files=1, total_files=2, bytes=10, total_bytes=40)
    assert (await run.status())["progress"] == "running"
    assert (await run.condition())[2] == "the command ended with code 0; outputs: 1 of 2 files, 10 B of 40 B"
    assert (await run.status())["progress"] == "1/2 out, 25%"


async def test_a_raw_link_finds_its_store_or_names_those_that_there_are(project: Project) -> None:
    nowhere = await project.run("nowhere", inputs=[{"name": "x", "link": "gs://acme/raw/x"}])
    status, reason, message = await nowhere.condition()
    assert (status, reason) == ("Unknown", "StoreNotReady")
    assert "has gs://acme: create one, for a public bucket with credentials: {anonymous: true}" in message
    assert f"It may use {project.namespace}/store (s3://{project.bucket})." in message
    found = await project.run("found", inputs=[{"name": "x", "link": f"s3://{project.bucket}/raw/**"}])
    await found.step()
    plan, _ = await (await found.pod()).plan()
    (source,) = plan.inputs[0].sources
    assert isinstance(source, ObjectsSource) and source.store == f"{project.namespace}/store"
    await project.connect("second", default=False)
    both = await project.run("both", inputs=[{"name": "x", "link": f"s3://{project.bucket}/raw/**"}])
    status, reason, message = await both.condition()
    assert (status, reason) == ("Unknown", "AmbiguousStore")
    assert "write store://second/<key> or store://store/<key>" in message
