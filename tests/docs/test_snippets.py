"""What can be pasted from the docs is well-formed, and calls what is there."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import re
import shlex
import subprocess

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tests.docs.pages import ROOT, Block, blocks, pages
from workers.cli import app

OURS = ("api", "activities", "customhouse", "workers", "workflows")
DIAGRAMS = ("flowchart", "sequenceDiagram", "stateDiagram-v2")
SHELL = blocks("sh")


def test_blocks_name_a_known_language() -> None:
    known = {"sh", "python", "yaml", "json", "sql", "text", "mermaid"}
    assert {block.language for each in pages() for block in each.blocks} <= known


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shell_is_valid(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_valid_and_imports_what_is_there(block: Block) -> None:
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            module = importlib.import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{block}: {node.module} has no {missing}"


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_valid(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_bodies_of_requests_are_json(block: Block) -> None:
    words = shlex.split(block.text.replace("\\\n", " "))
    for flag, body in itertools.pairwise(words):
        if flag == "-d":
            json.loads(body)


@pytest.mark.parametrize("block", blocks("mermaid"), ids=str)
def test_diagrams_begin_with_their_kind_and_close_what_they_open(block: Block) -> None:
    assert block.text.split()[0] in DIAGRAMS
    assert all(block.text.count(opening) == block.text.count(closing) for opening, closing in ("[]", "()", "{}"))


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for each in pages():
        named = set(re.findall(r"^make ([a-z-]+)$|`make ([a-z-]+)`", each.text, re.MULTILINE))
        assert {first or second for first, second in named} <= targets, each


def test_commands_and_their_options_exist() -> None:
    lines = [(str(b), line) for b in SHELL for line in b.text.replace("\\\n", " ").splitlines()]
    found = [(where, match[1]) for where, line in lines if (match := re.search(r"(?:^|[/ ])customhouse (\w.*)", line))]
    assert found
    for where, line in found:
        _must_parse(_root(), shlex.split(line), where)


def test_commands_named_in_prose_exist() -> None:
    for each in pages():
        for name in re.findall(r"`customhouse ([a-z]+)", each.prose):
            assert name in _root().commands, f"{each} names customhouse {name}"


def _root() -> TyperGroup:
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    return root


def _must_parse(group: TyperGroup, words: list[str], where: str) -> None:
    """Let the parser read the line, without running anything."""
    assert words, f"{where}: a command is missing"
    assert words[0] in group.commands, f"{where}: there is no command {words[0]}"
    command = group.commands[words[0]]
    if isinstance(command, TyperGroup):
        _must_parse(command, words[1:], where)
    else:
        assert isinstance(command, TyperCommand)
        command.make_context(command.name, words[1:])
