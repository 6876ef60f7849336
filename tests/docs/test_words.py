"""The docs speak of what is there, and of nothing else."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, page, pages

FORBIDDEN = (
    r"\bTODO\b|\bFIXME\b|\bTBD\b|\bXXX\b|lorem ipsum",
    r"coming soon|roadmap|in a (?:future|later) (?:version|release)|planned for",
    r"not yet (?:there|implemented|supported|available)",
    r"pypi\.org|npmjs\.|registry\.",
    r"/work/|/root/|\bissue \d",
    r"as an AI|language model assistant|chatgpt",
    r"\bsimply\b|\bjust works\b|\bblazing|\bseamless",
)


@pytest.mark.parametrize("each", pages(), ids=str)
def test_no_forbidden_words(each: Page) -> None:
    for pattern in FORBIDDEN:
        found = re.search(pattern, each.text, re.IGNORECASE)
        assert found is None, f"{each} says {found[0]!r}"


@pytest.mark.parametrize("each", pages(), ids=str)
def test_a_page_has_one_title_and_no_trailing_space(each: Page) -> None:
    lines = each.prose.splitlines()
    assert lines[0].startswith("# ")
    assert sum(line.startswith("# ") for line in lines) == 1
    assert not [line for line in each.text.splitlines() if line != line.rstrip()]


def test_the_licence_is_the_one_that_the_package_names() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0" in text
    assert 'text = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_changelog_has_this_version() -> None:
    from customhouse import __version__

    assert f"## [{__version__}]" in page("CHANGELOG.md").text
