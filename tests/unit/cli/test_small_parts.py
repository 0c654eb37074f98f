"""Links without a cluster, the kit's table, amounts for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datums.cli.cluster import Problem
from datums.cli.environment import Where, from_environment
from datums.cli.store_table import markdown, table
from datums.cli.transfers import amount, duration, line
from datums.model import links
from datums.model.commit import Report as Progress
from datums.model.plan import StoreAccess
from datums.stores.conformance import Check, Report

AWS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


def found(link: str, environment: dict[str, str] | None = None, **where: Any) -> tuple[StoreAccess, dict[str, str], str]:
    result = from_environment(link, links.parse(link), environment or {}, Where(**where))
    (access,) = result.plan.stores.values()
    return access, dict(result.credentials[access.name]), result.plan.execution.namespace


def test_s3_by_the_variables_of_its_tools() -> None:
    access, credentials, _ = found("s3://b/k", AWS | {"AWS_SESSION_TOKEN": "t", "AWS_REGION": "eu-north-1", "OTHER": "x"})
    assert (access.kind, access.bucket, access.region, access.endpoint) == ("s3", "b", "eu-north-1", "")
    assert not access.force_path_style
    assert credentials == AWS | {"AWS_SESSION_TOKEN": "t"}
    access, _, _ = found("s3://b/k", AWS | {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://s3"})
    assert (access.endpoint, access.force_path_style) == ("http://s3", True)
    assert found("s3://b/k", AWS, endpoint="http://flag")[0].endpoint == "http://flag"


def test_the_other_providers(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    access, credentials, _ = found("gs://b/k", {"GOOGLE_APPLICATION_CREDENTIALS": str(key)})
    assert (access.kind, access.bucket, credentials) == ("gcs", "b", {"service-account.json": "{}"})
    access, credentials, _ = found("azure://acme/c/k", {"AZURE_STORAGE_SAS_TOKEN": "sig=x", "AZURE_TENANT_ID": "t"})
    assert (access.kind, access.account, access.bucket) == ("azure", "acme", "c")
    assert credentials == {"AZURE_STORAGE_SAS_TOKEN": "sig=x"}
    client = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s", "AZURE_AUTHORITY_HOST": "https://login"}
    assert found("azure://acme/c/k", client)[1] == client
    access, _, _ = found("swift://p/c/k", AWS, region="gra")
    assert (access.kind, access.account, access.bucket, access.region) == ("ovh", "p", "c", "gra")
    access, _, _ = found("oci://b@ns/k", AWS | {"AWS_REGION": "eu-frankfurt-1"})
    assert (access.kind, access.account, access.bucket) == ("oracle", "ns", "b")


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("s3://b/k", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or give --anonymous"),
        ("gs://b/k", "set GOOGLE_APPLICATION_CREDENTIALS"),
        ("azure://acme/c/k", "set AZURE_STORAGE_KEY, or AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID"),
        ("oci://b@ns/k", "give --region, or set AWS_REGION"),
        ("store://ml/k", "is a name in a cluster"),
        ("datum://018f3c5e-0000-8000-8000-000000000000", "is a name in a cluster"),
    ],
)
def test_what_is_missing_is_said(link: str, sentence: str) -> None:
    with pytest.raises(Problem, match=sentence):
        found(link)


def test_anonymous_takes_no_credentials() -> None:
    access, credentials, _ = found("s3://b/k", AWS, anonymous=True)
    assert (access.anonymous, credentials) == (True, {})


def test_the_project_is_that_of_the_link() -> None:
    assert found("s3://b/datums/projects/churn/executions/x/**", AWS)[2] == "churn"
    assert found("s3://b/datums/projects/*/executions/x/**", AWS)[2] == "-"
    assert found("s3://b/other/projects/churn/x", AWS, prefix="other")[2] == "churn"


def report(**changes: Any) -> Report:
    good = Check(group="Objects", name="put", tried="it is | written", verdict="yes", ok=True, seconds=0.1)
    bad = Check(group="Keys", name="odd", tried="a key", verdict="no", told="it is " + "long " * 60, ok=False, seconds=1)
    fields = {"store": "p/ml", "kind": "s3", "bucket": "s3://b", "service": "https://s", "half": "all", "checks": [good, bad]}
    return Report(**(fields | changes))


def test_the_table_marks_what_is_wrong_and_keeps_to_its_width() -> None:
    lines = table(report(), width=100).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("! no      odd") for line in lines)
    assert any(line.startswith("  yes     put") for line in lines)
    assert lines[-1].startswith("2 checks: 1 yes, 1 no, 0 refused. Datums cannot rely on this store")
    assert "asked again 3 times" in table(report(repeated=3), width=200)


def test_the_page_is_a_table_of_markdown() -> None:
    page = markdown(report(half="read", why_half="may not write"))
    assert "| Objects: put | it is \\| written | yes |  | 0.10 |" in page
    assert "**no**" in page
    assert "Only reading was tried: may not write." in page


def test_amounts_and_times() -> None:
    assert [amount(size) for size in (0, 999, 1000, 1_250_000, 10**18)] == ["0 B", "999 B", "1.0 kB", "1.2 MB", "1000.0 PB"]
    assert [duration(seconds) for seconds in (0.2, 61, 3700)] == ["0 s", "1 min 01 s", "1 h 01 min"]


def test_the_line_of_progress() -> None:
    assert line(Progress(phase="Downloading")) == "looking what the link leads to"
    told = line(Progress(phase="Downloading", files=1, total_files=2, bytes=50, total_bytes=150, rate=10, trouble="stuck: x"))
    assert told == "1 of 2 files, 50 B of 150 B, 10 B/s, 10 s left; stuck: x"
