"""What is generated from the types is what lies in the repository."""

import re
from pathlib import Path

import pytest
import yaml

from datums.api import crds, generated, reference
from datums.api.kinds import KINDS


def test_the_crds_are_not_stale() -> None:
    assert generated.stale(crds.render()) == []


def test_the_reference_is_not_stale() -> None:
    assert generated.stale(reference.render()) == []


def test_check_names_a_stale_file_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    files = {Path("crds/a.yaml"): "new", Path("crds/b.yaml"): "same"}
    generated.write(files)
    (tmp_path / "crds/a.yaml").write_text("old")
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert generated.main(files, "generate") == 1
    assert capsys.readouterr().out == "crds/a.yaml is stale: run `generate`\n"
    assert (tmp_path / "crds/a.yaml").read_text() == "old"
    monkeypatch.setattr("sys.argv", ["generate"])
    assert generated.main(files, "generate") == 0
    assert capsys.readouterr().out == "wrote crds/a.yaml\n"
    assert generated.stale(files) == []


@pytest.mark.parametrize("cls", KINDS)
def test_a_crd_fits_the_annotation_of_kubectl_apply(cls: type) -> None:
    # kubectl keeps the whole object in an annotation, which has at most 256 KiB.
    content = yaml.safe_load(crds.render()[Path("crds", f"{cls.resource.plural}.yaml")])
    assert len(str(content)) < 128 * 1024


def test_every_link_within_a_page_of_the_reference_leads_to_a_heading() -> None:
    for path, page in reference.render().items():
        headings = {reference.anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
        assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= headings, path


def test_the_reference_has_every_field() -> None:
    for cls in KINDS:
        page = reference.kind_page(cls)
        schema = crds.crd(cls)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            for name in schema["properties"][part]["properties"]:
                assert re.search(rf"^\| \[?`{name}`", page, re.MULTILINE), f"{part}.{name}"
