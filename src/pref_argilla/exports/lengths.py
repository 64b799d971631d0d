"""How long the rows of an export are, in characters."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from pref_argilla.exports.rows import PairRow

# TRL cuts a row to max_length tokens (1,024 unless set otherwise) without a word.
TRL_MAX_LENGTH = 1024
# Below the first, 1,024 tokens are enough for most text; above the second, for hardly any.
LIMITS = (2_000, 4_000)


@dataclass(frozen=True, slots=True)
class Spread:
    """Characters: the median, the 95th percentile (nearest rank) and the largest."""

    median: int
    p95: int
    largest: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """``whole`` is the prompt with the longer of its two completions; ``over`` counts rows with more characters than
    each of ``LIMITS``.
    """

    prompt: Spread
    chosen: Spread
    rejected: Spread
    whole: Spread
    over: tuple[tuple[int, int], ...]


class LengthCounter:
    """Four numbers a row, 32 bytes: exact percentiles for a million rows in 32 MB."""

    def __init__(self) -> None:
        self._prompt, self._chosen, self._rejected, self._whole = (array("q") for _ in range(4))

    def add(self, row: PairRow) -> None:
        prompt = sum(len(message.content) for message in row.prompt.messages)
        chosen, rejected = len(row.chosen.text), len(row.rejected.text)
        self._prompt.append(prompt)
        self._chosen.append(chosen)
        self._rejected.append(rejected)
        self._whole.append(prompt + max(chosen, rejected))

    def lengths(self) -> Lengths:
        """Of one row at least."""
        return Lengths(
            _spread(self._prompt),
            _spread(self._chosen),
            _spread(self._rejected),
            _spread(self._whole),
            tuple((limit, sum(1 for length in self._whole if length > limit)) for limit in LIMITS),
        )


def _spread(lengths: array[int]) -> Spread:
    ordered = sorted(lengths)

    def nearest_rank(share: float) -> int:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

    return Spread(nearest_rank(0.5), nearest_rank(0.95), ordered[-1])
