"""Every link leads somewhere."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, page, pages


@pytest.mark.parametrize("each", pages(), ids=str)
def test_links_resolve(each: Page) -> None:
    for link in each.links:
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (each.path.parent / path).resolve() if path else each.path
        assert target.exists(), f"{each}: {link} leads nowhere"
        if anchor:
            assert anchor in Page(target).anchors, f"{each}: {link} names no heading of {target.name}"


@pytest.mark.parametrize("each", pages(), ids=str)
def test_files_named_in_code_marks_are_there(each: Page) -> None:
    folders = "activities|api|benchmarks|customhouse|deploy|docs|examples|migrations|tests|workers|workflows"
    for name in re.findall(rf"`((?:{folders})/[\w./-]*)`", each.prose):
        assert (ROOT / name).exists(), f"{each} names {name}, which is not there"


def test_every_decision_is_listed() -> None:
    decisions = page("docs/decisions/README.md")
    listed = {link for link in decisions.links if link.startswith("0")}
    assert listed == {path.name for path in decisions.path.parent.glob("[0-9]*.md")}
