"""Fixtures of the embedded stack's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder that Postgres's own user can reach: pytest closes the folders above `tmp_path` to others."""
    path = Path(tempfile.mkdtemp(prefix="ch-test-"))
    yield path
    shutil.rmtree(path)
