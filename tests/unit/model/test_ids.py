"""Datum ids are derived: the same file of the same attempt has the same id, and the id leads to its set."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datums.model import ids

DIGEST = "9f" * 32


@given(uid=st.uuids().map(str), attempt=st.integers(1, 1000), path=st.text(min_size=1, max_size=40))
def test_a_file_id_is_a_uuid_8_that_leads_to_its_set(uid: str, attempt: int, path: str) -> None:
    set_hex = ids.set_of_attempt(uid, attempt)
    datum = ids.file_id(set_hex, path, 0, DIGEST)
    assert (datum.version, datum.variant) == (8, RFC_4122)
    assert ids.set_of_datum(datum) == set_hex
    assert not ids.is_bundle(datum)
    assert datum == ids.file_id(set_hex, path, 0, DIGEST)


@given(path=st.text(min_size=1, max_size=40), sequence=st.integers(0, 1000), digest=st.binary(min_size=32, max_size=32))
def test_the_ids_of_many_files_are_the_same(path: str, sequence: int, digest: bytes) -> None:
    set_hex = ids.set_of_attempt("u", 1)
    assert ids.file_ids(set_hex)(path, sequence, digest.hex()) == str(ids.file_id(set_hex, path, sequence, digest.hex()))


def test_ids_do_not_change_between_releases() -> None:
    set_hex = ids.set_of_attempt("6f1b1a0e-0000-4000-8000-000000000001", 1)
    assert set_hex == "c8ce00298881740"
    assert str(ids.file_id(set_hex, "model.pkl", 0, DIGEST)) == "c8ce0029-8881-8740-8f4a-cb1ba757177d"
    assert str(ids.bundle_id(set_hex)) == "c8ce0029-8881-8740-8000-000000000000"


def test_path_sequence_digest_attempt_and_salt_each_make_another_id() -> None:
    base = ids.set_of_attempt("u", 1)
    assert len({base, ids.set_of_attempt("u", 2), ids.set_of_attempt("v", 1), ids.set_of_attempt("u", 1, salt=1)}) == 4
    files = {ids.file_id(base, p, n, d) for p in ("a", "b") for n in (0, 1) for d in (DIGEST, "00" * 32)}
    assert len(files) == 8


def test_a_bundle_is_told_from_a_file() -> None:
    bundle = ids.bundle_id("0123456789abcde")
    assert ids.is_bundle(bundle)
    assert ids.set_of_datum(bundle) == "0123456789abcde"


@pytest.mark.parametrize(
    "text",
    [
        "latest-model",
        "",
        "5d2f1a53-7c2e-4b1d-9a43-0c1f2e3d4b5a",
        "cdcd5a3d0ed48b778c32a8a4a3b6f3a2",
        "{cdcd5a3d-0ed4-8b77-8000-000000000000}",
    ],
)
def test_what_is_no_datum_id(text: str) -> None:
    assert ids.parse_datum_id(text) is None


def test_a_datum_id_is_read_in_either_case() -> None:
    bundle = ids.bundle_id("0123456789abcde")
    assert ids.parse_datum_id(str(bundle).upper()) == bundle == UUID(str(bundle))


def test_a_set_has_15_digits() -> None:
    with pytest.raises(ValueError, match="15 hex digits"):
        ids.bundle_id("0123")
