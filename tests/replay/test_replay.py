"""Saved histories of real runs replay on today's workflow, and a broken one is found out."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from customhouse.integrations.codec import data_converter
from tests.replay.broken import Hurried
from tests.replay.save import FOLDER
from tests.replay.scenarios import SCENARIOS
from workflows.governed_invocation import GovernedInvocation

HISTORIES = sorted(FOLDER.glob("*.json"))


def saved(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def test_each_way_is_saved() -> None:
    assert set(SCENARIOS) <= {path.stem for path in HISTORIES}, "make them: python -m tests.replay.save"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_it_replays(path: Path) -> None:
    replayer = Replayer(workflows=[GovernedInvocation], data_converter=data_converter(None))
    await replayer.replay_workflow(saved(path))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_deliberate_break_is_found(path: Path) -> None:
    replayer = Replayer(workflows=[Hurried], data_converter=data_converter(None))
    with pytest.raises(NondeterminismError):
        await replayer.replay_workflow(saved(path))
