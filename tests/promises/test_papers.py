"""The papers keep their promises: links lead somewhere, commands exist, decisions have four parts."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PARTS = ["Context", "Decision", "Consequences", "Alternatives"]


def anchors(paper: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", paper.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", paper.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        found = (paper.parent / name) if name else paper
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_make_command_in_the_papers_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for paper in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        named = re.findall(r"(?:`|^|: |\S=\S+ )make ([a-z0-9-]+)", paper.read_text(), flags=re.MULTILINE)
        assert named, paper.name
        assert set(named) <= targets


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_its_four_parts_on_one_page(decision: Path) -> None:
    text = decision.read_text()
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == PARTS
    sentence = text.split("## Decision\n")[1].split("## ")[0].strip()
    assert len(re.findall(r"\.(?=\s|$)", sentence)) == 1, "the decision is one sentence"
    assert len(text.splitlines()) <= 60
    assert text.startswith(f"# {decision.name[:4]}: ")


def test_every_decision_is_listed() -> None:
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert [d.name for d in DECISIONS if d.name not in listed] == []


def test_the_weights_licence_is_said_apart_from_the_codes() -> None:
    licences = (ROOT / "README.md").read_text().split("## Licences")[1].split("\n## ")[0]
    assert "Apache 2.0" in licences
    assert "CC-BY-NC 4.0" in licences
    assert (
        "src/text2song/bundled_model/README.md) that comes with the program are under Apache 2.0" in licences
    )
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
