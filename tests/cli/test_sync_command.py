"""``sync`` ends with 3 whenever something was not sent or not read whole; the rest is done and saved."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import typer

from pref_argilla.cli import sync_commands
from pref_argilla.labeling.records import Unfit
from pref_argilla.steps.sync import PullReport, PushReport

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow

UNFIT = (Unfit("t1", "it holds a NUL character"),)


@pytest.mark.parametrize("unfit", [(), UNFIT])
@pytest.mark.parametrize("complete", [True, False])
def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unfit: tuple[Unfit, ...], complete: bool) -> None:
    (tmp_path / "pref-argilla.toml").write_text('[project]\nname = "p"\n')
    pushed = PushReport("d", "page", 3, 0, (), unfit)
    pulled = PullReport(True, complete, 3, 0, (), (), 4)
    monkeypatch.setattr(sync_commands, "_connect", lambda *_: nullcontext())
    monkeypatch.setattr(sync_commands, "push_tasks", lambda *_: pushed)
    monkeypatch.setattr(sync_commands, "pull_rankings", lambda *_: pulled)

    def code(command: str) -> int:
        try:
            getattr(sync_commands, command)(
                project=tmp_path, quiet=True, **({"every": None} if command == "run" else {})
            )
        except typer.Exit as exc:
            return exc.exit_code
        return 0

    assert code("push") == (3 if unfit else 0)
    assert code("pull") == (0 if complete else 3)
    assert code("run") == (3 if unfit or not complete else 0)
