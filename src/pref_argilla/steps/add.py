"""Prompts and completions from files into the store, in batches, with every refused row counted and named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from pref_argilla.schema import Completion, Prompt
from pref_argilla.sources import BadRow, CompletionRow, PromptRow
from pref_argilla.store import Store
from pref_argilla.text import is_refusal

BATCH_ROWS = 1000
# Enough to see what is wrong with a file; all are counted.
SHOWN_BAD_ROWS = 20

Row = TypeVar("Row")


@dataclass(slots=True)
class AddReport:
    """``refused`` counts bad rows by reason; ``examples`` are the first of them, as sentences."""

    rows: int = 0
    new_prompts: int = 0
    new_completions: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def refused_rows(self) -> int:
        return sum(self.refused.values())

    def refuse(self, bad: BadRow) -> None:
        self.refused[bad.reason.value] = self.refused.get(bad.reason.value, 0) + 1
        if len(self.examples) < SHOWN_BAD_ROWS:
            self.examples.append(str(bad))


def add_prompts(
    store: Store, rows: Iterable[PromptRow | BadRow], on_rows: Callable[[int], None] | None = None
) -> AddReport:
    """Rows that are there already change nothing. Interrupted, it keeps the batches done; run again, it adds the rest."""
    report = AddReport()
    for batch in _batches(rows):
        good: list[Prompt] = []
        for row in batch:
            if isinstance(row, BadRow):
                report.refuse(row)
            else:
                good.append(row.prompt)
        report.new_prompts += store.add_prompts(good)
        report.rows += len(batch)
        if on_rows is not None:
            on_rows(report.rows)
    return report


def add_completions(
    store: Store, rows: Iterable[CompletionRow | BadRow], on_rows: Callable[[int], None] | None = None
) -> AddReport:
    """Adds each row's prompt too, where it is missing; refusals are recognised and marked."""
    report = AddReport()
    for batch in _batches(rows):
        prompts: list[Prompt] = []
        completions: list[Completion] = []
        for row in batch:
            if isinstance(row, BadRow):
                report.refuse(row)
            else:
                prompts.append(row.prompt)
                completions.append(
                    replace(row.completion, refusal=row.completion.refusal or is_refusal(row.completion.text))
                )
        report.new_prompts += store.add_prompts(prompts)
        report.new_completions += store.add_completions(completions)
        report.rows += len(batch)
        if on_rows is not None:
            on_rows(report.rows)
    return report


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH_ROWS)):
        yield batch
