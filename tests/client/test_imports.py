"""An agent runtime has pydantic and temporalio, and nothing else of ours."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ALLOWED = (
    *("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"),
    *("temporalio", "google", "nexusrpc", "types_protobuf"),
    *("customhouse", "examples"),
)
"""With what those two themselves depend on."""

REFUSE = """
import importlib.abc, sys

ALLOWED = {allowed!r}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top in ALLOWED or top.startswith("_sysconfigdata"):
            return None
        raise ModuleNotFoundError(f"an agent runtime has no {{name}}", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {root!r})
{code}
"""

START = """
import asyncio
from uuid import uuid4
from customhouse.client import CustomhouseClient, invocation_input, start_options
from customhouse.contracts.chat import ChatRequest
from customhouse.contracts.invocation import Caller

request = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
invocation = invocation_input(request, Caller(organization_id=uuid4()))
assert start_options(invocation)["id"]
"""


@pytest.mark.parametrize("code", [START, "import examples.agent_workflow"], ids=["client", "example"])
def test_pydantic_and_temporalio_are_enough(code: str) -> None:
    script = REFUSE.format(allowed=ALLOWED, root=str(ROOT), code=textwrap.dedent(code))
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
