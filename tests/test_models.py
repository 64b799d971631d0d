from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.errors import ConfigError
from pref_argilla.models import (
    ModelRole,
    ModelSpec,
    Prices,
    prompt_tokens_about,
    prompt_tokens_at_most,
    tokens_about,
)
from pref_argilla.schema import Message, Role

SPEC = ModelSpec("small", "org/small-1")


def test_cost_is_exact() -> None:
    prices = Prices.of(0.15, "0.6")
    assert prices.cost(1, 0) == Decimal("0.00000015")
    assert sum([prices.cost(7, 3)] * 1_000_000, Decimal(0)) == Decimal("2.85")


@pytest.mark.parametrize(("prompt", "completion"), [("x", 1), (1, -1), ("nan", 1), (1, "inf"), ("", 1)])
def test_a_price_that_is_none(prompt: Any, completion: Any) -> None:
    with pytest.raises(ConfigError):
        Prices.of(prompt, completion)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"model": "org/small-2"},
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"max_tokens": 10},
        {"system_prompt": "Be brief."},
        {"seed": 1},
        {"extra": (("min_p", 0.1),)},
    ],
)
def test_what_changes_the_output_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint != SPEC.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://127.0.0.1:9/v1"},
        {"api_key_variable": "OTHER"},
        {"samples": 2},
        {"prices": Prices.of(1, 2)},
        {"concurrency": 64},
        {"timeout": 5.0},
        {"retries": 1},
        {"role": ModelRole.JUDGE},
    ],
)
def test_what_does_not_change_the_output_keeps_the_fingerprint(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint == SPEC.fingerprint


def test_the_order_of_extra_fields_does_not_matter() -> None:
    one, two = ("min_p", 0.1), ("logit_bias", {"5": 1})
    assert replace(SPEC, extra=(one, two)).fingerprint == replace(SPEC, extra=(two, one)).fingerprint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " "),
        ("model", ""),
        ("base_url", "api.openai.com/v1"),
        ("base_url", "ftp://host/v1"),
        ("base_url", "http:///v1"),
        ("base_url", "http://host:port/v1"),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("max_tokens", 0),
        ("samples", 0),
        ("concurrency", 0),
        ("timeout", 0.0),
        ("retries", -1),
    ],
)
def test_a_value_that_no_endpoint_takes_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        replace(SPEC, **{field: value})


def test_system_prompts_become_one_message() -> None:
    spec = replace(SPEC, system_prompt="Be brief.")
    user, own = Message(Role.USER, "Hi"), Message(Role.SYSTEM, "Speak Turkish.")
    assert SPEC.conversation([own, user]) == (own, user)
    assert spec.conversation([user]) == (Message(Role.SYSTEM, "Be brief."), user)
    assert spec.conversation([own, user]) == (Message(Role.SYSTEM, "Be brief.\n\nSpeak Turkish."), user)


@given(st.text())
def test_the_guess_stays_below_the_bound(text: str) -> None:
    message = Message(Role.USER, text)
    assert 0 <= tokens_about(text) <= len(text.encode("utf-8", "surrogatepass"))
    assert prompt_tokens_about([message]) < prompt_tokens_at_most([message])
