"""text.py: equality in two languages, emptiness, refusals, terminals, storage."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.text import is_empty, is_refusal, normalise, strip_controls, unstorable

TURKISH_AND_ENGLISH = st.text(st.sampled_from("aAiIıİşŞğĞçöü\u0307\u0301 \n.xX"), max_size=30)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("I AM HERE", "i am here"),
        ("SINIR NEDİR?", "Sınır nedir?"),
        ("İSTANBUL", "istanbul"),
        ("İstanbul".lower(), "istanbul"),  # Python's lower() leaves a combining dot
        ("I\u0307stanbul", "İstanbul"),
        ("IŞIK", "ışık"),
        ("cafe\u0301", "café"),
        ("a\r\nb", "a\nb"),
        ("  a \t b\n\n", "a b"),
        ("a\u00a0b", "a b"),
        ("a\u200bb\ufeff", "ab"),
        ("Straße", "STRASSE"),
    ],
)
def test_texts_that_read_the_same_are_equal(first: str, second: str) -> None:
    assert normalise(first) == normalise(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Sınır nedir?", "Sinir nedir?"),
        ("SINIR NEDİR?", "SİNİR NEDİR?"),
        ("sık", "sik"),
        ("a b", "ab"),
        ("x²", "x2"),
        ("5 > 3", "5 < 3"),
        ("👩\u200d🚀", "👩🚀"),
    ],
)
def test_texts_that_differ_stay_different(first: str, second: str) -> None:
    assert normalise(first) != normalise(second)


@given(st.one_of(st.text(max_size=40), TURKISH_AND_ENGLISH))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(st.one_of(st.text(max_size=40), TURKISH_AND_ENGLISH))
def test_composed_and_decomposed_forms_are_equal(text: str) -> None:
    assert normalise(unicodedata.normalize("NFD", text)) == normalise(unicodedata.normalize("NFC", text))


@given(st.text(st.sampled_from("abcçdefgğhıijklmnoöprsştuüvyz "), max_size=30))
def test_turkish_capitals_equal_their_small_letters(text: str) -> None:
    capitals = text.replace("i", "İ").replace("ı", "I").upper()
    # The letter that says "Turkish" survives in both forms.
    assert normalise("ş " + capitals) == normalise("ş " + text)


@given(st.text(st.sampled_from("xıi"), max_size=10), st.text(st.sampled_from("xıi"), max_size=10))
def test_dotless_and_dotted_never_become_equal(first: str, second: str) -> None:
    assert (normalise(first) == normalise(second)) == (first == second)


@pytest.mark.parametrize(
    "text", ["", " \n\t", "\u200b\ufeff", "\x00\x1b", "\u3164", "\u2800", "\ufe0f", "\ud800", "\u00a0"]
)
def test_what_shows_nothing_is_empty(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize("text", ["0", ".", "👍", " a ", "ı", "\u0301a"])
def test_what_shows_something_is_not_empty(text: str) -> None:
    assert not is_empty(text)


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I cannot fulfill your request.",
        "I can't fulfil this request. It asks for something harmful.",
        "Sorry, I can't do that.",
        "I am sorry, but as an AI language model, I cannot provide instructions for this.",
        "As an AI language model, I cannot generate content of this kind.",
        "As an AI, I am unable to create such images.",
        "Unfortunately, I am not able to help you with that request.",
        "I must respectfully decline this request.",
        "I CANNOT COMPLY WITH THAT REQUEST",
        "I'm sorry, but I can't help with your “şiir” request.",
        "Üzgünüm, bu konuda yardımcı olamam.",
        "Üzgünüm, ancak bu isteği yerine getiremem.",
        "Bu konuda size yardımcı olamıyorum.",
        "ÜZGÜNÜM, BU KONUDA YARDIMCI OLAMAM.",
        "Maalesef size yardımcı olamıyorum.",
        "Özür dilerim, bunu yapamam.",
        "Bu tür bir soruya cevap veremem.",
        "Bu tür içerikleri oluşturamam.",
        "Üzgünüm, bu bilgiyi paylaşamıyorum.",
        "Bir yapay zeka dil modeli olarak bu konuda yardımcı olamam.",
        "Yapay zekâ asistanı olarak size bu konuda yardımcı olamıyorum.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot stress enough how important sleep is.",
        "I can't help but smile when I read this.",
        "I can't help this feeling, it is stronger than me.",
        "I'm sorry, but I can't come to the party on Friday.",
        "I'm sorry to hear that. Here is what you can do:",
        "Sorry, I can't do that on Friday. How about Monday?",
        "“I'm sorry, but I can't help with that,” said the robot.",
        '"Üzgünüm, bu konuda yardımcı olamam," dedi Ali.',
        "As an AI language model, I cannot provide personal opinions, but the usual arguments are these.",
        "As an AI engineer, I write models.",
        "Dear customer, unfortunately I cannot offer you a refund.",
        "I will not be able to attend the meeting.",
        "Üzgünüm ama bu akşam yemeğe gelemem.",
        "Üzgünüm, dedi annesi ve kapıyı kapattı.",
        "Bu konuda yardımcı olabilirim.",
        "Bu soruya cevap vermek için önce tanıma bakalım.",
        "Yapay zeka olarak bilinen alan 1956'da doğdu.",
        "Maalesef otobüs kaçtı; bir sonraki saat beşte.",
        "Yardımcı olamam diye korkuyordum, ama oldu.",
        "I can't help with that. " + "But the following steps are safe and legal. " * 60,
    ],
)
def test_near_misses_are_not_refusals(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b1mbold", "bold"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Btext\x1bc", "text"),
        ("a\rb\r\nc", "a\nb\nc"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("bell\x07 back\x08 nul\x00 del\x7f", "bell back nul del"),
        ("right\u202eleft\u2066x\u2069", "rightleftx"),
        ("half \ud83d", "half "),
        ("\x1b", ""),
        ("\x1b]never ends\nnext line", "\nnext line"),
        ("Çağrı 👩\u200d🚀 مرحبا", "Çağrı 👩\u200d🚀 مرحبا"),
    ],
)
def test_nothing_commands_the_terminal(text: str, shown: str) -> None:
    assert strip_controls(text) == shown


@given(st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b[]0;m\x07\\\r\u202e")), max_size=60))
def test_stripped_text_can_be_printed(text: str) -> None:
    stripped = strip_controls(text)
    stripped.encode("utf-8")
    assert all(c in "\n\t" or unicodedata.category(c) != "Cc" for c in stripped)
    assert strip_controls(stripped) == stripped


def test_unstorable_names_the_first_character() -> None:
    assert unstorable("fine: çöp 👍 \x07") is None
    assert unstorable("ab\x00\ud800") == "a NUL character at 2"
    assert unstorable("\udfff\x00") == "a lone surrogate at 0"


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_storable_text_survives_utf8(text: str) -> None:
    try:
        text.encode("utf-8")
        encodes = True
    except UnicodeEncodeError:
        encodes = False
    assert (unstorable(text) is None) == (encodes and "\x00" not in text)
