"""Uploads that dead attempts have left on a real S3 server."""

from __future__ import annotations

from datums.control.kube import SECRETS
from datums.control.upload_sweeper import UploadSweeper
from datums.model import layout
from tests.integration.executions_kit import Project

DAYS = 86400.0


def begin(project: Project, key: str) -> str:
    """An upload with one part, that nobody finishes."""
    boto = project.server.boto()
    upload = boto.create_multipart_upload(Bucket=project.bucket, Key=key)["UploadId"]
    boto.upload_part(Bucket=project.bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 1024)
    return str(key)


def left(project: Project) -> list[str]:
    found = project.server.boto().list_multipart_uploads(Bucket=project.bucket).get("Uploads") or []
    return sorted(upload["Key"] for upload in found)


async def test_what_dead_attempts_left_is_removed_and_nothing_else(project: Project) -> None:
    run = await project.run()
    pod = await run.started()
    uid = (await run.get())["metadata"]["uid"]
    living = layout.attempt_prefix("datums", project.namespace, "train", uid, pod.attempt)
    dead = layout.attempt_prefix("datums", project.namespace, "gone", "ffffffff-0000", 1)
    keys = [begin(project, key) for key in (f"{living}files/a", f"{dead}files/b", "raw/c", f"datums-hf/{dead}files/d")]
    assert left(project) == sorted(keys)

    services = await project.process()
    await UploadSweeper(services).sweep()
    assert left(project) == sorted(keys), "all of them are young"

    project.skew = 3 * DAYS
    services = await project.process()
    await UploadSweeper(services).sweep()
    assert left(project) == sorted(key for key in keys if not key.startswith(dead))
    assert b'datums_abandoned_uploads_total{result="removed"} 1.0' in services.metrics.exposition()


async def test_a_store_that_cannot_be_looked_at_stops_nobody(project: Project) -> None:
    await project.connect("other", default=False)
    await project.kube.delete(SECRETS, project.namespace, "keys")
    dead = layout.attempt_prefix("datums", project.namespace, "gone", "ffffffff-0000", 1)
    key = begin(project, f"{dead}files/b")
    project.skew = 3 * DAYS
    await UploadSweeper(await project.process()).sweep()
    assert left(project) == [key]
