"""What needs no heavy package loads none: a project manager's ``status`` runs without torch and without Argilla's SDK."""

from __future__ import annotations

import subprocess
import sys

import pytest

from project import Project

HEAVY = (
    "torch",
    "argilla",
    "datasets",
    "openai",
    "sentence_transformers",
    "transformers",
    "pandas",
    "pyarrow",
    "httpx",
)
SCRIPT = """
import sys
sys.argv = ["pref-argilla", *sys.argv[1:]]
from pref_argilla.cli.main import run
try:
    run()
finally:
    print("LOADED", *[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (("--help",), set()),
        (("sync", "--help"), set()),
        (("status",), set()),
        (("export", "--out", "pairs"), set()),
        (("prompts", "add", "p.jsonl"), set()),
        (("dedupe", "--encoder", "none"), set()),
    ],
)
def test_light_commands(
    tmp_path_factory: pytest.TempPathFactory, arguments: tuple[str, ...], allowed: set[str]
) -> None:
    project = Project(tmp_path_factory.mktemp("light"))
    project.write_config('[project]\nname = "p"\n')
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": "Why?"}]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *arguments],
        cwd=project.folder,
        env=project.variables(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    loaded = next(line for line in done.stderr.splitlines() if line.startswith("LOADED")).split()[1:]
    assert set(loaded) <= allowed
