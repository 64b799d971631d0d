"""Every text comes back through the reader that a trainer uses, character by character."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports.pair_rows import expected, pair_row, summarise
from pref_argilla.errors import ExportError
from pref_argilla.exports import PairRow, write_export
from pref_argilla.schema import Message, Role

HOSTILE = [
    "plain",
    "a\x00b\x01\x08\x0b\x0c\x1b\x1f\x7f",
    "line\nends\r\nof\rall\x85kinds\u2028and\u2029more",
    "\ufeffmark \u200b \u202eright to left\u202c العربية עברית",
    "emoji 👩🏽‍💻 🇹🇷 and İıĞğŞş",
    "2024-05-13",
    "2024-05-13T10:00:00Z",
    "null",
    "true",
    "1",
    '{"role": "user"}',
    '[{"role": "user", "content": "x"}]',
    "---\nlicense: mit\n---",
    "List<String> & <script>alert(1)</script> $& `x` \\u0041 \\",
    "  white space \n",
    "x" * 100_000,
    "ş" * 100_000,
]
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40) | st.sampled_from(HOSTILE)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    turns = draw(st.lists(texts, min_size=1, max_size=5).filter(lambda turns: len(turns) % 2 == 1))
    roles = (Role.USER, Role.ASSISTANT)
    messages = tuple(Message(roles[number % 2], text) for number, text in enumerate(turns))
    system = draw(st.none() | texts)
    return ((Message(Role.SYSTEM, system),) if system is not None else ()) + messages


@st.composite
def pair_rows(draw: st.DrawFn) -> list[PairRow]:
    made = st.builds(
        pair_row,
        conversations(),
        texts,
        texts,
        st.sampled_from(["train", "test"]),
        origins=st.tuples(texts, texts),
        source=texts,
    )
    # With a row of plain words in each split, no column is all dates: those are refused, and tested below.
    plain = [pair_row("Hi", "a", "b", split) for split in ("train", "test")]
    return [*draw(st.lists(made, max_size=6)), *plain]


@contextmanager
def exported(rows: list[PairRow], format_name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        write_export(rows, out, format_name, summarise)
        yield out


def load_json(folder: Path) -> Any:
    """As a trainer's script does, and not through Python's own JSON."""
    import datasets

    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    return datasets.load_dataset("json", data_files=files, cache_dir=str(folder.parent / "cache"))


def trl_part(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows]


several = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.slow
@given(pair_rows())
@several
def test_trl_dpo_through_datasets(rows: list[PairRow]) -> None:
    with exported(rows, "trl-dpo") as out:
        loaded = load_json(out)
        for split in ("train", "test"):
            assert loaded[split].to_list() == trl_part(expected(rows, split))


@pytest.mark.slow
@given(pair_rows())
@several
def test_jsonl_through_datasets(rows: list[PairRow]) -> None:
    with exported(rows, "jsonl") as out:
        loaded = load_json(out)
        for split in ("train", "test"):
            assert loaded[split].to_list() == expected(rows, split)


@given(pair_rows())
@settings(deadline=None)
def test_jsonl_through_plain_json_even_by_splitlines(rows: list[PairRow]) -> None:
    with exported(rows, "jsonl") as out:
        for split in ("train", "test"):
            text = (out / f"{split}.jsonl").read_text(encoding="utf-8")
            assert [json.loads(line) for line in text.splitlines()] == expected(rows, split)


@given(pair_rows())
@settings(deadline=None, max_examples=30)
def test_provenance_is_aligned_with_the_rows(rows: list[PairRow]) -> None:
    with exported(rows, "trl-dpo") as out:
        lines = {
            split: [json.loads(line) for line in (out / f"{split}.jsonl").read_bytes().splitlines()]
            for split in ("train", "test")
        }
        beside = [json.loads(line) for line in (out / "provenance.jsonl").read_bytes().splitlines()]
        assert len(beside) == len(rows)
        for row, line in zip(rows, beside, strict=True):
            assert line["chosen_id"] == row.pair.chosen_id
            assert lines[line["split"]][line["row"]]["chosen"] == [{"role": "assistant", "content": row.chosen.text}]


@given(pair_rows())
@settings(deadline=None, max_examples=30)
def test_parquet_through_pyarrow(rows: list[PairRow]) -> None:
    import pyarrow.parquet as pq

    with exported(rows, "parquet") as out:
        for split in ("train", "test"):
            assert pq.read_table(out / f"{split}.parquet").to_pylist() == expected(rows, split)


@pytest.mark.slow
@given(pair_rows())
@several
def test_dataset_through_load_from_disk(rows: list[PairRow]) -> None:
    import datasets

    with exported(rows, "dataset") as out:
        loaded = datasets.load_from_disk(str(out))
        assert list(loaded) == ["train", "test"]
        for split in ("train", "test"):
            assert loaded[split].to_list() == expected(rows, split)


@pytest.mark.parametrize("format_name", ["parquet", "dataset"])
def test_an_empty_split_has_the_same_columns(format_name: str, tmp_path: Path) -> None:
    import datasets
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    write_export([pair_row("Hi", "a", "b")], out, format_name, summarise)
    if format_name == "parquet":
        schemas = [pq.read_schema(out / f"{split}.parquet") for split in ("train", "test")]
        assert schemas[0].equals(schemas[1])
        assert pq.read_table(out / "test.parquet").num_rows == 0
    else:
        loaded = datasets.load_from_disk(str(out))
        assert loaded["test"].num_rows == 0
        assert loaded["test"].features == loaded["train"].features


@pytest.mark.parametrize("format_name", ["trl-dpo", "jsonl"])
def test_an_empty_test_split_makes_no_file_that_datasets_cannot_read(format_name: str, tmp_path: Path) -> None:
    import datasets

    out = tmp_path / "out"
    write_export([pair_row("Hi", "a", "b")], out, format_name, summarise)
    assert not (out / "test.jsonl").exists()
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 1}


@pytest.mark.parametrize("format_name", ["trl-dpo", "jsonl", "parquet", "dataset"])
def test_the_folder_itself_loads_by_its_card(format_name: str, tmp_path: Path) -> None:
    import datasets

    rows = [pair_row("Hi", "a", "b"), pair_row("Ho", "c", "d", "test"), pair_row("Ha", "e", "f")]
    out = tmp_path / "out"
    write_export(rows, out, format_name, summarise)
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    for split in ("train", "test"):
        wanted = expected(rows, split)
        assert loaded[split].to_list() == (trl_part(wanted) if format_name == "trl-dpo" else wanted)


@pytest.mark.parametrize("date", ["2024-05-13", "2024-05-13 10:00", "2024-05-13T10:00:00.5+03:00"])
def test_a_column_of_dates_is_refused_where_datasets_would_change_it(date: str, tmp_path: Path) -> None:
    rows = [pair_row(f"When? {number}", date, "No idea", "train") for number in range(3)]
    for format_name in ("trl-dpo", "jsonl"):
        with pytest.raises(ExportError, match="'chosen' of the train split is a date") as caught:
            write_export(rows, tmp_path / format_name, format_name, summarise)
        assert "--format parquet" in caught.value.next_step
        assert not list(tmp_path.iterdir())
    write_export(rows, tmp_path / "out", "parquet", summarise)
    import datasets

    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert [row["chosen"][0]["content"] for row in loaded["train"]] == [date] * 3


def test_the_danger_of_dates_is_real(tmp_path: Path) -> None:
    """If this fails, `datasets` reads texts as texts now, and the refusal above can go."""
    import datasets

    (tmp_path / "train.jsonl").write_text('{"chosen": [{"role": "assistant", "content": "2024-05-13"}]}\n')
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "train.jsonl"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert loaded[0]["chosen"][0]["content"] != "2024-05-13"


def test_dates_beside_other_texts_are_exported(tmp_path: Path) -> None:
    rows = [pair_row("When?", "2024-05-13", "No idea"), pair_row("When then?", "In May", "2024-05-13")]
    write_export([*rows, pair_row("Hi", "a", "b", "test")], tmp_path / "out", "trl-dpo", summarise)
    loaded = load_json(tmp_path / "out")
    assert [row["chosen"][0]["content"] for row in loaded["train"]] == ["2024-05-13", "In May"]


@pytest.mark.parametrize("format_name", ["trl-dpo", "jsonl", "parquet", "dataset"])
def test_half_a_surrogate_pair_is_refused_by_name(format_name: str, tmp_path: Path) -> None:
    rows = [pair_row("Hi", "a", "b"), pair_row("Ho", "broken \ud83d", "d")]
    with pytest.raises(ExportError, match=rows[1].pair.chosen_id):
        write_export(rows, tmp_path / "out", format_name, summarise)
    assert not list(tmp_path.iterdir())
