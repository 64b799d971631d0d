"""The query language and the folding of text, without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argilla_embedded.query_text import All, Any, Everything, Node, Not, Phrase, Words, fold, parse, words

A, B, C = Words(("a",)), Words(("b",)), Words(("c",))


@pytest.mark.parametrize(
    ("query", "node"),
    [
        ("a", A),
        ("a b", All((A, B))),
        ("a + b", All((A, B))),
        ("a | b", Any((A, B))),
        ("a|b", Any((A, B))),
        ("a b | c", Any((All((A, B)), C))),
        ("a | b c", All((Any((A, B)), C))),
        ("a (b | c)", All((A, Any((B, C))))),
        ("-a", Not(A)),
        ("a -b", All((A, Not(B)))),
        ("a --b", All((A, B))),
        ("a -(b c)", All((A, Not(All((B, C)))))),
        ('"a b"', Phrase(("a", "b"))),
        ('-"a b"', Not(Phrase(("a", "b")))),
        ('"a b"~2 c', All((Phrase(("a", "b")), C))),
        ('"a \\" b"', Phrase(("a", "b"))),
        ("a*", Words(("a",), prefix=True)),
        ("a\\*", A),
        ("*", Everything()),
        ("a~2", A),
        ("a-b", Words(("a", "b"))),
        ("a\\|b", Words(("a", "b"))),
        ("a.b*", Words(("a", "b"), prefix=True)),
        ('a "b', All((A, B))),
        ("(a b", All((A, B))),
        ("a) b", All((A, B))),
        ("() a", A),
        ("+ | a |", A),
        ("a | | b", Any((A, B))),
        ("!? a", A),
        ("", None),
        ("- + | ()", None),
        ('"" "?"', None),
        ("\\", None),
    ],
)
def test_parse(query: str, node: Node | None) -> None:
    assert parse(query) == node


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("İSTANBUL", "istanbul"),
        ("ISTANBUL", "istanbul"),
        ("I\u0307stanbul", "istanbul"),
        ("Isparta", "ısparta"),
        ("ISPARTA", "isparta"),
        ("ÇAĞRI", "çağrı"),
        ("KIŞIN", "kışın"),
        ("c\u0327ay", "çay"),
        ("HELLO", "hello"),
        ("ΣΑΣ", "σας"),
    ],
)
def test_words_that_are_the_same(one: str, other: str) -> None:
    assert words(one) == words(other) != ()


@pytest.mark.parametrize(("one", "other"), [("cay", "çay"), ("gol", "göl"), ("as", "aş"), ("uc", "üç"), ("dag", "dağ")])
def test_words_that_differ(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_how_words_are_split() -> None:
    assert words("Ankara'da e-posta, v1.2 snake_case") == ("ankara", "da", "e", "posta", "v1", "2", "snake", "case")
    assert words("日本語 です") == ("日", "本", "語", "で", "す")
    assert words("हिन्दी") == ("हिन्दी",)
    assert words("😀 … \ud800") == ()


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)
    fold(text).encode("utf-8")


@given(st.text(alphabet=st.one_of(st.sampled_from('ab"()+-|*~\\ 1'), st.characters()), max_size=40))
def test_nothing_is_malformed(query: str) -> None:
    parse(query)


@pytest.mark.parametrize(
    "query", ["(" * 50_000, "((a" * 5_000, "(" * 3000 + "a" + ")" * 3000, '"' * 20_001, "-" * 9999]
)
def test_queries_without_end(query: str) -> None:
    parse(query)
