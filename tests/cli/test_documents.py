"""What the READMEs say of the command line is true: every command is named there, and every option shown exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
from typer.main import get_command

from pref_argilla.cli.main import app
from project import REPOSITORY

READMES = ("README.md", "README.tr.md")


def commands() -> dict[tuple[str, ...], set[str]]:
    """Every command with its options."""
    found: dict[tuple[str, ...], set[str]] = {}

    def walk(command: object, path: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[path] = {option for parameter in command.params for option in parameter.opts}  # type: ignore[attr-defined]
            return
        for name, child in children.items():
            walk(child, (*path, name))

    walk(get_command(app), ())
    return found


def shown_commands(text: str) -> Iterator[list[str]]:
    for line in re.findall(r"^(?:\.venv/bin/)?pref-argilla (.+)$", text, re.MULTILINE):
        yield shlex.split(line.split("  #")[0])


@pytest.mark.parametrize("name", READMES)
def test_every_command_is_named(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    for path in commands():
        assert re.search(rf"`{path[0]}\b", table), path
        assert re.search(rf"\b{path[-1]}\b", table), path


@pytest.mark.parametrize("name", READMES)
def test_every_command_shown_is_one(name: str) -> None:
    known = commands()
    shown = list(shown_commands((REPOSITORY / name).read_text(encoding="utf-8")))
    assert len(shown) > 12
    for words in shown:
        path = tuple(words[:2]) if tuple(words[:2]) in known else tuple(words[:1])
        assert path in known, words
        for word in words:
            assert not word.startswith("--") or word in known[path], words


def test_files_named_in_the_readme_exist() -> None:
    for name in READMES:
        for target in re.findall(r"\]\(([^)#]+)\)", (REPOSITORY / name).read_text(encoding="utf-8")):
            assert target.startswith("https://") or (REPOSITORY / target).exists(), target
