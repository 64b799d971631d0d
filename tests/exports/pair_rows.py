"""Pairs for the tests of the writers, made of the texts that a test cares about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pref_argilla.exports import ExportSummary, PairRow
from pref_argilla.exports.rows import flat_row
from pref_argilla.schema import Completion, Message, Pair, Prompt, Role

SUMMARY = ExportSummary(
    title="Trial",
    prompts=2,
    completions=6,
    annotators=2,
    judges=0,
    rankings=4,
    strategy="best_worst",
    consensus="Copeland, ties broken by Borda",
    evaluated_by="people",
)


def summarise() -> ExportSummary:
    return SUMMARY


def pair_row(
    prompt: str | tuple[Message, ...],
    chosen: str,
    rejected: str,
    split: str = "train",
    *,
    origins: tuple[str, str] = ("big", "small"),
    source: str = "trial.jsonl",
) -> PairRow:
    messages = (Message(Role.USER, prompt),) if isinstance(prompt, str) else prompt
    of_prompt = Prompt.of(messages, source)
    of_chosen = Completion.of(of_prompt.id, origins[0], chosen, source=source)
    of_rejected = Completion.of(of_prompt.id, origins[1], rejected, source=source)
    pair = Pair(
        prompt_id=of_prompt.id,
        task_id="t0",
        chosen_id=of_chosen.id,
        rejected_id=of_rejected.id,
        chosen_origin=origins[0],
        rejected_origin=origins[1],
        strategy="best_worst",
        rank_gap=2,
        margin=1 / 3,
        annotators=3,
        votes_for=2,
        votes_against=1,
        votes_tie=0,
        agreement=2 / 3,
        soft_label=0.625,
        weight=1.0,
        length_difference=len(chosen) - len(rejected),
        evaluated_by="people",
    )
    return PairRow(pair, of_prompt, of_chosen, of_rejected, split)


def many(count: int, mark: str = "") -> Iterator[PairRow]:
    """One row in ten is a test row."""
    for number in range(count):
        text = f"{mark} number {number} çok güzel"
        yield pair_row(f"What is{text}?", f"It is{text}." * 3, f"No{text}.", "test" if number % 10 == 9 else "train")


def expected(rows: list[PairRow], split: str) -> list[dict[str, object]]:
    return [dict(flat_row(row)) for row in rows if row.split == split]


def content(folder: Path) -> dict[str, str]:
    """Every file under ``folder`` by name, with the SHA-256 of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
