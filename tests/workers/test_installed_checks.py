"""A company's own check: `examples/own_check`, installed beside the product, and packages that are not right."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from activities.check_threads import CheckThreads
from activities.inspection import Inspector
from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.governance import Direction, Verdict
from customhouse.governance.checks.base import Cost, Need
from customhouse.governance.checks.registry import builtin_checks
from customhouse.governance.policy import DEFAULT_POLICY, CheckRule, Policy
from workers.check_command import check
from workers.installed_checks import GROUP, installed_checks

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_check"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example as an installer leaves it: its module, and what its metadata says of entry points."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (tmp_path / "acme_checks.py").write_text((EXAMPLE / "acme_checks.py").read_text())
    metadata = tmp_path / f"acme_checks-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {value}" for name, value in project["entry-points"][GROUP].items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_checks", raising=False)


def inspector(policy: Policy = DEFAULT_POLICY) -> Inspector:
    return Inspector(builtin_checks(policy, more=installed_checks()), policy, CheckThreads())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("direction", Direction)
async def test_an_installed_check_is_in_force(direction: Direction) -> None:
    checked = await check(inspector(), "Tell me of Project Halibut.", direction)
    (finding,) = checked.inspected.findings
    assert (finding.check, finding.kind, finding.direction) == ("project_names", "unreleased", direction)
    assert checked.verdict is Verdict.BLOCK
    assert (await check(inspector(), "Tell me of halibut.", direction)).verdict is Verdict.ALLOW


@pytest.mark.usefixtures("installed")
async def test_policy_may_switch_it_off() -> None:
    policy = DEFAULT_POLICY.model_copy(update={"checks": {"project_names": CheckRule(enabled=False)}})
    assert (await check(inspector(policy), "Project Halibut", Direction.INPUT)).inspected.findings == []


def test_a_name_that_is_taken() -> None:
    (secrets,) = [each for each in builtin_checks(DEFAULT_POLICY) if each.name == "secrets"]
    with pytest.raises(ValueError, match="two checks of the name 'secrets'"):
        builtin_checks(DEFAULT_POLICY, more=[secrets])


class Nameless:
    name = "Not A Name"
    version = "1"
    directions: frozenset[Direction] = frozenset()
    cost = "cheap"
    needs = frozenset({Need.FORMS})


class Unmakeable:
    cost = Cost.LIGHT

    def __init__(self) -> None:
        raise RuntimeError("no licence file")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("tests.workers.test_installed_checks:Nameless", "name must be lower-case"),
        ("tests.workers.test_installed_checks:Nameless", "directions must name one"),
        ("tests.workers.test_installed_checks:Nameless", "cost must be Cost.LIGHT"),
        ("tests.workers.test_installed_checks:Nameless", "it has none of: inspect"),
        ("tests.workers.test_installed_checks:Unmakeable", "RuntimeError: no licence file"),
        ("tests.workers.test_installed_checks:Missing", "AttributeError"),
        ("no.such.module:Check", "ModuleNotFoundError"),
    ],
)
def test_a_package_that_is_not_right_says_so_at_start(value: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match="The check 'wrong' of an unnamed package") as raised:
        installed_checks([EntryPoint("wrong", value, GROUP)])
    assert fault in raised.value.message


def test_nothing_is_installed_here() -> None:
    assert list(entry_points(group=GROUP)) == []
