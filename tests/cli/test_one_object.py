"""``--json``: exactly one object on stdout, whatever becomes of the command; and text that the terminal cannot show."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pref_argilla.cli.output import Output
from pref_argilla.errors import InputError
from pref_argilla.store import Store
from project import Project
from running_argilla import free_port

# Each command is a process of its own, which takes a third of a second to begin.
pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "p")
    project.write_config('[project]\nname = "p"\n[dedupe]\nencoder = "none"\n')
    return project


@pytest.fixture(autouse=True)
def fresh_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    from pref_argilla.cli import output

    monkeypatch.setattr(output, "_STDOUT", output._Stdout())


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("export",),
        ("sync", "push", "--nonsense"),
        ("generate", "--answers", "1"),
        ("generate", "--answers", "many"),
        ("generate", "--max-cost", "nan"),
        ("team",),
        ("dedupe", "--threshold", "0"),
        ("dedupe", "--threshold", "nan"),
        ("dedupe", "--threshold", "1.5"),
        ("sync", "run", "--every", "inf"),
        ("export", "--out", "x", "--min-margin", "nan"),
        ("init", "x", "--language", "de"),
    ],
)
def test_wrong_usage_is_one_object(project: Project, arguments: tuple[str, ...]) -> None:
    result = project.run(*arguments, "--json")
    assert result.code == 2, result.err
    error = result.json["error"]
    assert error["what"] and error["what"].split("\n")[0] in result.err
    assert error["kind"] == "UsageError"


def test_help_is_help(project: Project) -> None:
    for arguments in (("--help",), ("export", "--help"), ("export", "--json", "--help")):
        result = project.run(*arguments)
        assert (result.code, result.err) == (0, "")
        assert "Usage:" in result.out
    assert "SIGTERM" in project.run("--help").out


def test_a_word_behind_the_dashes_is_no_option(project: Project) -> None:
    result = project.run("prompts", "add", "--", "--json")
    assert (result.code, result.out) == (1, "")


def test_the_first_object_is_the_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.done({"first": 1})
    Output(as_json=True).done({"second": 2})
    output.error(InputError("too late"))
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"first": 1}
    assert "too late" in captured.err


def test_a_bug_is_one_object_and_a_traceback(project: Project) -> None:
    script = (
        "import sys; sys.argv = ['pref-argilla', 'status', '--json']\n"
        "from pref_argilla.report import progress\n"
        "def broken(*_): raise RuntimeError('a key perhaps')\n"
        "progress.progress = broken\n"
        "from pref_argilla.cli.main import run\n"
        "run()\n"
    )
    project.ok("prompts", "add", project.write_jsonl("p.jsonl", [{"prompt": "Why?"}]))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.folder, env=project.variables(), capture_output=True, text=True
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "RuntimeError" and "a key perhaps" not in done.stdout
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("quiet", [False, True])
def test_interrupted_it_is_one_object(project: Project, how: signal.Signals, quiet: bool) -> None:
    Store(project.folder, writable=True).close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        waiting = Project(project.folder, {"ARGILLA_API_URL": url, "ARGILLA_API_KEY": "k"})
        process = waiting.start("sync", "push", "--json", *(["--quiet"] if quiet else []))
        silent.settimeout(30)
        with silent.accept()[0]:
            process.send_signal(how)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert json.loads(out) == {"interrupted": True}
    assert "Traceback" not in err
    assert ("Interrupted." in err) is not quiet


def test_sync_run_goes_on_when_argilla_is_away_and_when_the_store_is_busy(project: Project) -> None:
    Store(project.folder, writable=True).close()
    away = Project(project.folder, {"ARGILLA_API_URL": f"http://127.0.0.1:{free_port()}", "ARGILLA_API_KEY": "k"})
    process = away.start("sync", "run", "--every", "1", "--json")
    assert process.stderr is not None

    def warning() -> str:
        assert process.stderr is not None
        return next(line for line in process.stderr if line.startswith("Warning"))

    try:
        assert "No Argilla server answers" in warning()
        with Store(project.folder, writable=True):
            while "Another pref-argilla command is writing" not in warning():
                pass
        while "No Argilla server answers" not in warning():
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    found = json.loads(out)
    assert found["interrupted"] and found["rounds"] == found["failed_rounds"] >= 3
    assert (found["push"], found["pull"]) == (None, None)
    assert "Traceback" not in err


def encoded(project: Project, encoding: str, *arguments: str) -> tuple[int, bytes, str]:
    process = subprocess.run(
        [sys.executable, "-m", "pref_argilla.cli.main", *arguments],
        cwd=project.folder,
        env={**project.variables(), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
    )
    err = process.stderr.decode(encoding)
    assert "Traceback" not in err, err
    return process.returncode, process.stdout, err


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-9", "utf-8"])
def test_what_the_terminal_cannot_show(project: Project, encoding: str) -> None:
    rows = [{"prompt": "Neden?", "completion": "Çünkü.", "origin": "şef-模型-🙂"}]
    file = project.write_jsonl("soru-模.jsonl", rows)
    code, out, err = encoded(project, encoding, "completions", "add", file)
    assert code == 0, err
    code, out, err = encoded(project, encoding, "status")
    assert code == 0 and "origin" not in err
    code, out, err = encoded(project, encoding, "status", "--json")
    assert code == 0
    assert json.loads(out.decode(encoding))["completions"] == {"şef-模型-🙂": 1}
    code, out, err = encoded(project, encoding, "prompts", "add", "yok-模.jsonl", "--json")
    assert code == 1 and "yok-模.jsonl" in json.loads(out.decode(encoding))["error"]["what"]


def test_an_undecodable_file_name(project: Project) -> None:
    name = os.fsdecode(b"\xff\xfe.jsonl")
    for arguments in (("prompts", "add", name), ("init", name), ("status", "--project", name + "x")):
        result = project.run(*arguments, "--json")
        assert result.code in (0, 1), result.err
        assert isinstance(result.json, dict)
    assert "\\udcff\\udcfe.jsonl" in project.run("prompts", "add", name).err
