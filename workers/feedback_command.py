"""`customhouse feedback export`: marked texts as labelled training data."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from customhouse.contracts.errors import ConfigurationError
from customhouse.contracts.feedback import LabelledText
from customhouse.governance.feedback.export import Collector, Export
from customhouse.storage.feedback import FeedbackMarks
from workers.organization_command import for_organization


async def export(database_url: str, organization: str, file: Path) -> Export:
    """Write one JSON object a line: id, text, label, category, source, language. The file is replaced as a whole.

    Raises NotFound if there is no such organization, ConfigurationError if the file cannot be written.
    """

    async def work(engine: AsyncEngine, organization_id: UUID) -> Export:
        collector = Collector()
        async for mark in FeedbackMarks(engine).stored(organization_id):
            collector.add(mark)
        return collector.export()

    exported = await for_organization(database_url, organization, work, name="feedback")
    try:
        _replace(file, exported.rows)
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}. Name a file in a folder that is there and writable."
        ) from error
    return exported


def _replace(file: Path, rows: Sequence[LabelledText]) -> None:
    """Readable by its owner alone: it holds prompts."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.writelines(orjson.dumps(row.model_dump(mode="json")) + b"\n" for row in rows)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
