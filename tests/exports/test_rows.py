from __future__ import annotations

import dataclasses

import pytest

from exports.pair_rows import pair_row
from pref_argilla.exports import row_order
from pref_argilla.exports.rows import FLAT_COLUMNS, PROVENANCE_COLUMNS, TRL_DPO_COLUMNS, flat_row, trl_dpo_row
from pref_argilla.schema import Message, Pair, Role


def test_trl_row_has_the_explicit_conversation_and_nothing_else() -> None:
    turns = (
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "Hi"),
        Message(Role.ASSISTANT, "Hello"),
        Message(Role.USER, "Two plus two?"),
    )
    assert trl_dpo_row(pair_row(turns, "Four.", "Five.")) == {
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Two plus two?"},
        ],
        "chosen": [{"role": "assistant", "content": "Four."}],
        "rejected": [{"role": "assistant", "content": "Five."}],
    }


def test_roles_are_plain_strings() -> None:
    turns = trl_dpo_row(pair_row("Hi", "a", "b"))["prompt"]
    assert isinstance(turns, list)
    assert type(turns[0]["role"]) is str


def test_flat_row_has_every_fact_of_a_pair_under_its_own_name() -> None:
    row = pair_row("Hi", "a", "b")
    flat = flat_row(row)
    for field in dataclasses.fields(Pair):
        if field.name not in ("judge_label", "source"):
            assert flat[field.name] == getattr(row.pair, field.name)
    assert flat["pair_source"] == row.pair.source


@pytest.mark.parametrize(("label", "word"), [(1, "chosen"), (0, "tie"), (-1, "rejected"), (None, "")])
def test_a_judgement_is_a_word_and_never_null(label: int | None, word: str) -> None:
    row = pair_row("Hi", "a", "b")
    judged = dataclasses.replace(row, pair=dataclasses.replace(row.pair, judge_label=label))
    assert flat_row(judged)["judge_label"] == word


def test_columns_and_rows_say_the_same() -> None:
    flat = flat_row(pair_row("Hi", "a", "b"))
    assert [column.name for column in FLAT_COLUMNS] == list(flat)
    assert TRL_DPO_COLUMNS + PROVENANCE_COLUMNS == FLAT_COLUMNS
    kinds = {str: "string", int: "int64", float: "float64", list: "messages"}
    assert {column.name: column.kind for column in FLAT_COLUMNS} == {name: kinds[type(flat[name])] for name in flat}


def test_row_order_depends_on_the_seed_and_the_pair_only() -> None:
    one, other = pair_row("Hi", "a", "b").pair, pair_row("Hi", "a", "c").pair
    assert row_order(1, one) == row_order(1, dataclasses.replace(one, votes_for=9, agreement=0.5))
    assert row_order(1, one) != row_order(1, other)
    assert row_order(1, one) != row_order(2, one)


def test_row_order_is_the_same_on_every_machine() -> None:
    pair = dataclasses.replace(pair_row("Hi", "a", "b").pair, prompt_id="p1", chosen_id="c1", rejected_id="c2")
    assert row_order(7, pair).startswith("ab6db20deda35f9e")
