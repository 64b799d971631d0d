"""An export is there as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.pair_rows import content, many, pair_row, summarise
from pref_argilla.errors import ExportError
from pref_argilla.exports import PairRow, write_export
from pref_argilla.exports.atomic import exchange_folders, replaced_folder

FORMATS = ["trl-dpo", "jsonl", "parquet", "dataset"]


def always(_out: Path) -> None:
    return None


def cannot_exchange(_one: Path, _other: Path) -> bool:
    return False


def export(out: Path, mark: str = "", format_name: str = "trl-dpo", count: int = 20) -> None:
    write_export(many(count, mark), out, format_name, summarise)


def broken(rows: Iterator[PairRow], error: BaseException) -> Iterator[PairRow]:
    yield from rows
    raise error


def is_whole(out: Path) -> bool:
    """Every file of the manifest is there with its hash, and no other."""
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    hashes = content(out)
    del hashes["manifest.json"]
    return hashes == {file["name"]: file["sha256"] for file in manifest["files"]}


def test_an_export_holds_what_its_manifest_says(tmp_path: Path) -> None:
    for format_name in FORMATS:
        export(tmp_path / format_name, format_name=format_name)
        assert is_whole(tmp_path / format_name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FORMATS)


def test_an_older_export_is_replaced_in_any_format(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for format_name in [*FORMATS, *reversed(FORMATS)]:
        export(out, format_name, format_name)
        assert is_whole(out)
        assert json.loads((out / "manifest.json").read_text())["format"] == format_name
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_result_says_whether_something_was_replaced(tmp_path: Path) -> None:
    first = write_export(many(3), tmp_path / "out", "jsonl", summarise)
    second = write_export(many(3), tmp_path / "out", "jsonl", summarise)
    assert (first.replaced, second.replaced) == (False, True)


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(tmp_path / "out")
    assert is_whole(tmp_path / "out")


def test_missing_parents_are_made(tmp_path: Path) -> None:
    export(tmp_path / "a" / "b" / "out")
    assert is_whole(tmp_path / "a" / "b" / "out")


def test_the_folder_behind_a_link_is_replaced(tmp_path: Path) -> None:
    export(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    export(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert "new" in (tmp_path / "real" / "train.jsonl").read_text()


def test_the_folder_has_the_usual_rights(tmp_path: Path) -> None:
    (tmp_path / "usual").mkdir()
    export(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="no export of pref-argilla") as caught:
        export(out)
    assert "--out" in caught.value.next_step
    assert content(tmp_path).keys() == {"out/thesis.tex"}


@pytest.mark.parametrize(
    "manifest", ["{}", "[]", "not json", '{"made_by": "someone else", "files": []}', '{"files": 3}']
)
def test_another_tools_manifest_is_not_ours(manifest: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(manifest)
    with pytest.raises(ExportError, match="no export of pref-argilla"):
        export(out)
    assert (out / "manifest.json").read_text() == manifest


@pytest.mark.parametrize("name", ["notes.txt", "more/notes.txt"])
def test_a_file_put_into_an_export_is_not_lost(name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    before = content(tmp_path)
    with pytest.raises(ExportError, match=name):
        export(out, "new")
    assert content(tmp_path) == before


def test_a_file_that_comes_while_the_export_runs_is_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out)

    def rows() -> Iterator[PairRow]:
        yield from many(5, "new")
        (out / "notes.txt").write_text("mine")

    with pytest.raises(ExportError, match="notes"):
        write_export(rows(), out, "jsonl", summarise)
    assert (out / "notes.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match="is a file"):
        export(tmp_path / "out")
    with pytest.raises(ExportError, match="cannot be written"):
        export(tmp_path / "out" / "below")


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), OSError(5, "of the caller")])
def test_what_the_rows_raise_passes_and_nothing_changes(error: BaseException, format_name: str, tmp_path: Path) -> None:
    export(tmp_path / "out", "old")
    before = content(tmp_path)
    with pytest.raises(type(error)) as caught:
        write_export(broken(many(9, "new"), error), tmp_path / "out", format_name, summarise)
    assert caught.value is error
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_no_rows_make_no_export(format_name: str, tmp_path: Path) -> None:
    export(tmp_path / "out", "old")
    before = content(tmp_path)
    with pytest.raises(ExportError, match="would be empty"):
        write_export([], tmp_path / "out", format_name, summarise)
    assert content(tmp_path) == before


def test_exchange_swaps_two_folders_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "one" / "a").touch()
    if not exchange_folders(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot exchange two folders")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["a"]
    assert not list((tmp_path / "one").iterdir())


def test_exchange_tells_a_failure_from_a_missing_ability(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange_folders(tmp_path / "one", tmp_path / "missing")


def test_without_exchange_the_folder_is_replaced_by_two_renames(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for mark in ("old", "new"):
        with replaced_folder(out, always, cannot_exchange) as folder:
            (folder / "mark").write_text(mark)
        assert content(tmp_path).keys() == {"out/mark"}
        assert (out / "mark").read_text() == mark


def test_killed_between_the_two_renames_the_next_run_puts_the_old_one_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out, "old")
    before = content(out)
    out.rename(tmp_path / ".out.pref-argilla-0badcafe.old")
    (tmp_path / ".out.pref-argilla-0badcafe.new").mkdir()
    with pytest.raises(ExportError, match="would be empty"):
        write_export([], out, "jsonl", summarise)
    assert content(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_killed_after_the_two_renames_the_old_one_is_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out, "new")
    export(tmp_path / ".out.pref-argilla-0badcafe.old", "old")
    export(out, "newest")
    assert "newest" in (out / "train.jsonl").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_leftovers_of_killed_runs_go_and_those_of_living_runs_stay(tmp_path: Path) -> None:
    dead = tmp_path / ".out.pref-argilla-00000000.new"
    living = tmp_path / ".out.pref-argilla-11111111.new"
    other = tmp_path / ".outer.pref-argilla-22222222.new"
    for folder in (dead, living, other):
        folder.mkdir()
        (folder / "train.jsonl").write_text("half a li")
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    export(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, other.name, "out"])
    os.close(descriptor)
    export(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([other.name, "out"])


def test_two_exports_at_once_leave_one_of_them_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def rows() -> Iterator[PairRow]:
        yield from many(5, "outer")
        export(out, "inner")

    write_export(rows(), out, "jsonl", summarise)
    assert is_whole(out)
    assert "outer" in (out / "train.jsonl").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


KILLED = """
import sys
from pathlib import Path
from exports.pair_rows import many, summarise
from pref_argilla.exports import write_export
write_export(many(60, "start"), Path(sys.argv[1]), sys.argv[2], summarise)  # with all that it imports
print("ready", flush=True)
number = 0
while True:
    write_export(many(60, f"run{number}"), Path(sys.argv[1]), sys.argv[2], summarise)
    number += 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
def test_kill_9_at_any_moment_leaves_a_whole_export(format_name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(out, "first")
    paths = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    marks = set()
    for attempt in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(out), format_name], env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            # Steps that share no factor with the time of one export fall on every part of it sooner or later.
            time.sleep(0.031 + 0.0173 * attempt)
            process.send_signal(signal.SIGKILL)
        assert is_whole(out)
        marks.add((out / "manifest.json").read_bytes())
    assert len(marks) > 1
    export(out, "last", format_name)
    assert is_whole(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_order_of_rows_is_kept(tmp_path: Path) -> None:
    rows = [pair_row(f"prompt {number}", "a", "b") for number in (3, 1, 2)]
    write_export(rows, tmp_path / "out", "jsonl", summarise)
    lines = (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["prompt"][0]["content"] for line in lines] == ["prompt 3", "prompt 1", "prompt 2"]


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_same_input_makes_the_same_bytes(format_name: str, tmp_path: Path) -> None:
    results = [
        write_export(many(50), tmp_path / name, format_name, summarise, options={"seed": 1, "min_margin": 0.0})
        for name in ("one", "other")
    ]
    assert content(tmp_path / "one") == content(tmp_path / "other")
    assert results[0].files == results[1].files
