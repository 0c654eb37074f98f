"""Where the buckets of DataStores are."""

from __future__ import annotations

from typing import Any

import pytest

from datums.control.store_places import neighbours, place_of, spec_of
from tests.unit.control.stores_kit import store


@pytest.mark.parametrize(
    ("kind", "location", "service"),
    [
        ("s3", "s3://acme-ml/datums", "https://s3.us-east-1.amazonaws.com"),
        ("gcs", "gs://acme-ml/datums", "https://storage.googleapis.com"),
        ("azure", "azure://acme/acme-ml/datums", "https://acme.blob.core.windows.net"),
        ("ovh", "swift://p1/acme-ml/datums", "https://s3.gra.io.cloud.ovh.net"),
        ("oracle", "oci://acme-ml@space/datums", "https://space.compat.objectstorage.eu-frankfurt-1.oraclecloud.com"),
    ],
)
def test_each_kind_has_its_place(kind: str, location: str, service: str) -> None:
    place = place_of(spec_of(store(kind=kind)))
    assert (place.kind, place.location, place.service) == (kind, location, service)
    elsewhere = place_of(spec_of(store(kind=kind, block={"endpoint": "https://e.example.com/"})))
    assert elsewhere.service == "https://e.example.com"


def lab(kind: str = "s3", **block: Any) -> dict[str, Any]:
    return store("lab/x", kind=kind, block={"prefix": "lab", **block})


@pytest.mark.parametrize(
    ("here", "other", "near"),
    [
        (store(), lab(), True),
        (store(), lab(bucket="acme-other"), False),
        (store(), lab(region="eu-west-1"), False),
        (store(), lab(endpoint="https://S3.us-east-1.amazonaws.com:443/"), True),
        (store(), lab(endpoint="http://s3.us-east-1.amazonaws.com"), False),
        (store(), lab("gcs"), False),
        (store(kind="ovh"), lab(endpoint="https://s3.gra.io.cloud.ovh.net"), True),
        (store(kind="ovh"), lab("ovh", project="p2"), True),
        (store(kind="azure"), lab("azure"), True),
        (store(kind="azure"), lab("azure", account="other"), False),
        (store(kind="oracle"), lab("oracle", namespace="other"), False),
    ],
)
def test_neighbours_share_a_bucket(here: dict[str, Any], other: dict[str, Any], near: bool) -> None:
    assert neighbours(here, [here, other]) == (["lab"] if near else [])
