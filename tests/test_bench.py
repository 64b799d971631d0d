"""The benchmarks' own arithmetic, and that the script starts; no speed is tested here."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from pref_argilla.dedupe import near_duplicates
from project import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "bench.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules["bench"] = module
    spec.loader.exec_module(module)
    return module


def test_ideal_time_is_full_waves(bench: ModuleType) -> None:
    assert bench.ideal_seconds(1000, 64, 0.5) == 8.0
    assert bench.ideal_seconds(64, 64, 0.5) == 0.5
    assert bench.ideal_seconds(65, 64, 0.5) == 1.0


def test_ratio_is_the_median_of_pairs_and_not_of_sides(bench: ModuleType) -> None:
    # The machine was ten times slower during the second pair; both sides suffered alike.
    assert bench.median_ratio([(1.0, 2.0), (10.0, 20.0), (3.0, 1.0)]) == 0.5


def test_sides_take_turns(bench: ModuleType) -> None:
    assert list(bench.alternating(3)) == [(0, 1), (1, 0), (0, 1)]


def test_definition_compares_with_kept_rows_only(bench: ModuleType) -> None:
    angles = np.radians([0.0, 20.0, 40.0, 50.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # 20° duplicates 0°; 40° is near 20°, which was not kept, so it is kept; 50° duplicates it.
    assert bench.by_definition(vectors, np.cos(np.radians(25.0))) == {1: 0, 3: 2}


def test_definition_tells_a_wrong_result(bench: ModuleType) -> None:
    vectors = bench.example_vectors(600)
    found = {row: kept for row, kept, _ in near_duplicates(vectors, 0.95)}
    assert found == bench.by_definition(vectors, 0.95)
    assert found != bench.by_definition(vectors, 0.96)


def test_example_answers_are_those_of_a_seed(bench: ModuleType) -> None:
    text = bench.answer_text(random.Random(1))
    assert text == bench.answer_text(random.Random(1)) != bench.answer_text(random.Random(2))
    prompts, completions = bench.example_tasks(4, seed=1)
    assert len({p.id for p in prompts}) == 4 and len({c.id for c in completions}) == 12


def test_table_shows_a_missed_target(bench: ModuleType) -> None:
    finding = bench.Finding(0.5, "theirs / ours", "at least 2", False, {"ours s": 1234.5})
    lines = bench.table([bench.Result("pull", 1.25, finding)]).splitlines()
    assert lines[1].split() == ["pull", "0.50", "theirs", "/", "ours", "at", "least", "2", "NO", "1.2"]
    assert "ours s" in lines[2]


def test_list_names_every_benchmark(bench: ModuleType) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), "--list"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(bench.BENCHMARKS)


def test_json_is_one_object(bench: ModuleType) -> None:
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", "--only", "help"], capture_output=True, text=True, check=True
    )
    (found,) = json.loads(result.stdout)["benchmarks"]
    assert found["name"] == "help" and found["finding"]["ratio"] > 1 and "cores" in json.loads(result.stdout)["machine"]
