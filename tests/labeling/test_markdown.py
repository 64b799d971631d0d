r"""What goes to Argilla for a model's text: the real page shows it in ``end_to_end/test_hostile_text.py``."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from markdown_cases import FORMATTED, MIXED, SHOWN_AS_WRITTEN, shown, squeezed
from pref_argilla.labeling.markdown import MAX_COLOURED_CHARACTERS, MAX_FORMATTED_CHARACTERS, to_markdown

# Markdown's own characters, which may turn into formatting; any other must be shown.
MARKUP = set("#*_~`>-+|:=$\\[](){}.0123456789")


def assert_nothing_lost(text: str) -> None:
    """Every character of ``text`` that is not Markdown's own is shown, in order, and nothing else is."""
    seen = squeezed(shown(to_markdown(text)))
    at = 0
    for character in squeezed(text):
        if at < len(seen) and seen[at] == character:
            at += 1
        else:
            assert character in MARKUP, f"{character!r} is missing at {seen[at : at + 20]!r} in {seen!r}"
    assert at == len(seen), f"shown but not written: {seen[at:]!r}"


@pytest.mark.parametrize("text", SHOWN_AS_WRITTEN)
def test_shown_as_it_was_written(text: str) -> None:
    assert squeezed(shown(to_markdown(text))) == squeezed(text)


@pytest.mark.parametrize(("text", "markdown"), FORMATTED)
def test_formatted(text: str, markdown: str) -> None:
    assert to_markdown(text) == markdown


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(MIXED)
@example("> > - a\n>\n> ```\n> x\n> ```\nlazy")
@example("- - - a\n> b\n---")
@example("> " * 40 + "deep")
@example("\n".join("  " * depth + "- a" for depth in range(60)))
@example("$x$`$y$`**$z$**")
@example("|a|\n|-|\n|`|`|\n")
def test_nothing_is_lost_and_only_our_tags_are_written(text: str) -> None:
    assert_nothing_lost(text)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None, categories=None)))
def test_any_string_can_be_sent(text: str) -> None:
    shown(to_markdown(text)).encode("utf-8")


REPEATED = """
* | *a | **a | _a b | `a | ` `` | $a | \\[ | \\(a | > | - | <b | ~~a | a | **a *b | &#
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        *(unit for word in REPEATED.split(" | ") for unit in (word.strip(), word.strip() + " ", word.strip() + "\n")),
        *("|a", "|-", "$$\na\n", "```\n", "1. a\n\n   b\n", "\n", " ", "&#10;\t", "---\n", "\u202e", "x " * 40 + "\n"),
    ],
)
def test_100_kilobytes_of_anything_take_no_time(unit: str) -> None:
    text = unit * (100_000 // len(unit)) + "end"
    begun = time.perf_counter()
    markdown = to_markdown(text)
    assert time.perf_counter() - begun < 5
    assert "end" in markdown
    assert len(markdown) < 8 * len(text)


def test_blanks_and_words_are_too_short_for_argillas_slow_patterns() -> None:
    for text in (" " * 5_000 + "x", "a" + "\t" * 5_000 + "b", "```\n" + " " * 5_000 + "x\n```", "$x$ " + "a" * 5_000):
        markdown = to_markdown(text)
        assert not re.search(r"[^\S\n]{64}", markdown)
        assert "$x$" not in markdown or not re.search("[0-9A-Za-z]{64}", markdown)


def test_long_code_has_no_colours_and_a_long_text_no_formatting() -> None:
    code = "```python\n" + "x = 1\n" * (MAX_COLOURED_CHARACTERS // 6 + 1) + "```"
    assert "```python" not in to_markdown(code)
    text = "**bold** " * (MAX_FORMATTED_CHARACTERS // 9 + 1)
    assert squeezed(shown(to_markdown(text))) == squeezed(text)


def test_the_two_readings_of_a_minus_are_kept_apart() -> None:
    """A line of a formula that begins with a sign is no list."""
    assert "<li>" not in to_markdown("$$\na\n- b\n+ c\n$$")
    assert "<li>b</li>" in to_markdown("a\n- b")
