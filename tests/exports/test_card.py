from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.pair_rows import SUMMARY, many, pair_row, summarise
from pref_argilla.errors import UsageError
from pref_argilla.exports import AgreementFigure, ExportSummary, SourceFigure, write_export
from pref_argilla.exports.card import dataset_card
from pref_argilla.exports.lengths import Lengths, Spread
from pref_argilla.exports.rows import FLAT_COLUMNS

FULL = dataclasses.replace(
    SUMMARY,
    title="Sorular: how-to",
    prompts=1234,
    agreement=(
        AgreementFigure("Krippendorff's alpha (ordinal)", 0.8153, 0.75, 0.87),
        AgreementFigure("Kendall's W", None, note="all tied"),
    ),
    sources=(SourceFigure("trial.jsonl", 1000, "apache-2.0"), SourceFigure("app", 234)),
    origins=(("big", 1234), ("small", 1230)),
    refused=(("empty", 3), ("cut off", 1)),
    languages=("tr", "en"),
    licence="cc-by-4.0",
    limits=("Only short prompts.",),
)
SPREAD = Spread(10, 20, 30)
LENGTHS = Lengths(SPREAD, SPREAD, SPREAD, Spread(100, 2500, 5000), ((2000, 7), (4000, 2)))


def card(summary: ExportSummary) -> str:
    return dataset_card(
        summary,
        format_name="jsonl",
        usage="splits = ...",
        columns=FLAT_COLUMNS,
        places={"train": "train.jsonl", "test": "test.jsonl"},
        rows={"train": 1900, "test": 100},
        lengths=LENGTHS,
    )


def metadata(text: str, folder: Path) -> Any:
    """As the Hub's own client reads it."""
    from huggingface_hub import DatasetCard

    (folder / "README.md").write_text(text, encoding="utf-8")
    return DatasetCard.load(folder / "README.md").data.to_dict()


def test_the_hubs_client_reads_the_front_matter(tmp_path: Path) -> None:
    data = metadata(card(FULL), tmp_path)
    assert data["pretty_name"] == "Sorular: how-to"
    assert data["license"] == "cc-by-4.0"
    assert data["language"] == ["tr", "en"]
    assert data["size_categories"] == ["1K<n<10K"]
    assert data["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "train.jsonl"}, {"split": "test", "path": "test.jsonl"}],
        }
    ]


def test_the_columns_are_those_that_datasets_would_write(tmp_path: Path) -> None:
    from datasets import Features, Value

    message = {"role": Value("string"), "content": Value("string")}
    features = Features(
        {column.name: [message] if column.kind == "messages" else Value(column.kind) for column in FLAT_COLUMNS}
    )
    assert metadata(card(FULL), tmp_path)["dataset_info"]["features"] == features._to_yaml_list()


@given(st.text(), st.text())
@settings(deadline=None, max_examples=50)
def test_no_text_breaks_out_of_the_front_matter(
    tmp_path_factory: pytest.TempPathFactory, title: str, language: str
) -> None:
    summary = dataclasses.replace(FULL, title=title, languages=(language,))
    data = metadata(card(summary), tmp_path_factory.mktemp("card"))
    assert data["pretty_name"] == title
    assert data["language"] == [language]
    assert set(data) == set(metadata(card(FULL), tmp_path_factory.mktemp("card")))


def test_everything_that_was_counted_is_said() -> None:
    text = card(FULL)
    for said in (
        "1,234",
        "0.815",
        "0.750 to 0.870",
        "undefined",
        "all tied",
        "Copeland",
        "best\\_worst",
        "apache-2.0",
        "| app | 234 | unknown |",
        "| cut off | 1 |",
        "Only short prompts.",
        "2,000 pairs",
        "7 over 2,000, 2 over 4,000",
        "1,024 tokens",
    ):
        assert said in text


def test_what_is_not_known_is_not_claimed() -> None:
    text = card(SUMMARY)
    for heading in ("## Agreement", "## Sources", "## Not exported", "## Who wrote"):
        assert heading not in text
    assert 'license: "unknown"' in text
    assert "licence of the whole is not known" in text


def test_a_name_from_a_file_stays_in_its_cell() -> None:
    from markdown_it import MarkdownIt

    name = "<img src=x onerror=alert(1)> | `x` [a](javascript:b)\n## heading"
    text = card(dataclasses.replace(FULL, sources=(SourceFigure(name, 1),), origins=((name, 2),)))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text.split("---\n", 2)[2])
    cells = re.findall(r"<td>(.*?)</td>", html)
    shown = "&lt;img src=x onerror=alert(1)&gt; | `x` [a](javascript:b) ## heading"
    assert cells.count(shown) == 2
    assert "<img" not in html
    assert "<a " not in html


def test_lengths_are_measured_on_the_rows(tmp_path: Path) -> None:
    rows = [pair_row("p" * 10, "c" * number, "r" * 5) for number in (1, 20, 3000)]
    lengths = write_export(rows, tmp_path / "out", "jsonl", summarise).lengths
    assert lengths.prompt == Spread(10, 10, 10)
    assert lengths.chosen == Spread(20, 3000, 3000)
    assert lengths.rejected == Spread(5, 5, 5)
    assert lengths.whole == Spread(30, 3010, 3010)
    assert lengths.over == ((2000, 1), (4000, 0))


def test_the_manifest_records_options_and_counts(tmp_path: Path) -> None:
    result = write_export(
        many(20),
        tmp_path / "out",
        "trl-dpo",
        summarise,
        options={"seed": 7, "strategy": "adjacent"},
        timestamp="2026-01-02",
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["options"] == {"seed": 7, "strategy": "adjacent"}
    assert manifest["timestamp"] == "2026-01-02"
    assert manifest["rows"] == {"train": 18, "test": 2} == dict(result.rows)
    counts = {file["name"]: file["rows"] for file in manifest["files"]}
    assert counts == {"README.md": None, "provenance.jsonl": 20, "test.jsonl": 2, "train.jsonl": 18}


def test_without_a_timestamp_there_is_no_clock_in_it(tmp_path: Path) -> None:
    write_export(many(2), tmp_path / "out", "jsonl", summarise)
    assert "timestamp" not in json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))


def test_the_summary_is_asked_for_after_the_last_row(tmp_path: Path) -> None:
    seen: list[str] = []

    def rows() -> Any:
        yield from many(3)
        seen.append("rows")

    def counted() -> ExportSummary:
        seen.append("summary")
        return SUMMARY

    progress: list[int] = []
    write_export(rows(), tmp_path / "out", "jsonl", counted, on_row=progress.append)
    assert seen == ["rows", "summary"]
    assert progress == [1, 2, 3]


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'trl-ppo'") as caught:
        write_export(many(1), tmp_path / "out", "trl-ppo", summarise)
    assert "trl-dpo, jsonl, parquet, dataset" in caught.value.cause
