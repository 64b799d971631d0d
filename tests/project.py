"""A project driven as its user drives it: the command ``pref-argilla`` in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, f"--json must print exactly one object:\n{self.out}\n{self.err}"
        parsed: dict[str, Any] = json.loads(lines[0])
        return parsed


@dataclass(frozen=True, slots=True)
class Project:
    """``environment`` is all that a command sees besides PATH and HOME; keys of the tester's own shell never leak in."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        return {**passed, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "default", **self.environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The running command, to be waited for or killed."""
        return subprocess.Popen(
            [sys.executable, "-m", "pref_argilla.cli.main", *arguments],
            cwd=self.folder if self.folder.exists() else None,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, timeout: float = 300) -> Result:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{arguments} took over {timeout} s:\n{out}\n{err}") from None
        assert "Traceback" not in err, err
        return Result(process.returncode, out, err)

    def ok(self, *arguments: str, timeout: float = 300) -> dict[str, Any]:
        """The JSON result of a command that must end with 0."""
        result = self.run(*arguments, "--json", timeout=timeout)
        assert result.code == 0, f"{arguments} ended with {result.code}:\n{result.out}\n{result.err}"
        return result.json

    def write_config(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "pref-argilla.toml").write_text(text, encoding="utf-8")

    def write_jsonl(self, name: str, rows: list[dict[str, Any]]) -> str:
        path = self.folder / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return str(path)
