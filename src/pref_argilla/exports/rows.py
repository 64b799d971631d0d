"""A pair with its texts, and the pure functions that turn it into one row of a training file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from pref_argilla.schema import Completion, Pair, Prompt

SPLITS = ("train", "test")

Turn = dict[str, str]
Value = str | int | float | list[Turn]
Row = dict[str, Value]


@dataclass(frozen=True, slots=True)
class PairRow:
    """``split`` is "train" or "test"."""

    pair: Pair
    prompt: Prompt
    chosen: Completion
    rejected: Completion
    split: str


@dataclass(frozen=True, slots=True)
class Column:
    """``kind`` is "messages" (a list of role and content), "string", "int64" or "float64"; never null."""

    name: str
    kind: str


TRL_DPO_COLUMNS = (Column("prompt", "messages"), Column("chosen", "messages"), Column("rejected", "messages"))
PROVENANCE_COLUMNS = (
    Column("prompt_id", "string"),
    Column("task_id", "string"),
    Column("chosen_id", "string"),
    Column("rejected_id", "string"),
    Column("chosen_origin", "string"),
    Column("rejected_origin", "string"),
    Column("prompt_source", "string"),
    Column("chosen_source", "string"),
    Column("rejected_source", "string"),
    Column("evaluated_by", "string"),
    Column("strategy", "string"),
    Column("rank_gap", "int64"),
    Column("margin", "float64"),
    Column("annotators", "int64"),
    Column("votes_for", "int64"),
    Column("votes_against", "int64"),
    Column("votes_tie", "int64"),
    Column("agreement", "float64"),
    Column("soft_label", "float64"),
    Column("weight", "float64"),
    Column("length_difference", "int64"),
    Column("judge_label", "string"),
    Column("pair_source", "string"),
)
# In words: a column that is null in one split and a number in the other cannot be loaded from JSON.
_JUDGE_LABELS = {1: "chosen", 0: "tie", -1: "rejected", None: ""}
FLAT_COLUMNS = TRL_DPO_COLUMNS + PROVENANCE_COLUMNS

RowFunction = Callable[[PairRow], Row]


def trl_dpo_row(row: PairRow) -> Row:
    """TRL's explicit conversational preference row.

    ::

        {"prompt": [{"role": "user", "content": "Two plus two?"}],
         "chosen": [{"role": "assistant", "content": "Four."}],
         "rejected": [{"role": "assistant", "content": "Five."}]}
    """
    return {
        "prompt": [{"role": str(message.role), "content": message.content} for message in row.prompt.messages],
        "chosen": [{"role": "assistant", "content": row.chosen.text}],
        "rejected": [{"role": "assistant", "content": row.rejected.text}],
    }


def provenance_row(row: PairRow) -> Row:
    """How the pair came about; ``schema.Pair`` explains the numbers. ``judge_label`` is which one most judges preferred:
    "chosen", "rejected", "tie", or "" without a judgement.
    """
    pair = row.pair
    return {
        "prompt_id": pair.prompt_id,
        "task_id": pair.task_id,
        "chosen_id": pair.chosen_id,
        "rejected_id": pair.rejected_id,
        "chosen_origin": pair.chosen_origin,
        "rejected_origin": pair.rejected_origin,
        "prompt_source": row.prompt.source,
        "chosen_source": row.chosen.source,
        "rejected_source": row.rejected.source,
        "evaluated_by": pair.evaluated_by,
        "strategy": pair.strategy,
        "rank_gap": pair.rank_gap,
        "margin": pair.margin,
        "annotators": pair.annotators,
        "votes_for": pair.votes_for,
        "votes_against": pair.votes_against,
        "votes_tie": pair.votes_tie,
        "agreement": pair.agreement,
        "soft_label": pair.soft_label,
        "weight": pair.weight,
        "length_difference": pair.length_difference,
        "judge_label": _JUDGE_LABELS[pair.judge_label],
        "pair_source": pair.source,
    }


def flat_row(row: PairRow) -> Row:
    """TRL's three columns, then where they come from, a column each."""
    return {**trl_dpo_row(row), **provenance_row(row)}


def row_order(seed: int, pair: Pair) -> str:
    """A key to sort pairs by: shuffled by ``seed``, the same on every machine, whatever order the store gives."""
    key = f"{seed}\n{pair.prompt_id}\n{pair.chosen_id}\n{pair.rejected_id}"
    return hashlib.sha256(key.encode()).hexdigest()
