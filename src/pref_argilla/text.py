"""What a text is: equal to another, empty, a refusal, safe to print, possible to store. English and Turkish."""

from __future__ import annotations

import re
import unicodedata

# Letters that English and the other large Latin-script languages do not have. One of them makes a text Turkish here.
_TURKISH = frozenset("ıİğĞşŞ")
# Invisible characters that change nothing a reader sees. The joiners (U+200C, U+200D) do, in emoji and Persian: they stay.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_DOT_ABOVE = "\u0307"
_DOTTED_I = re.compile("i" + _DOT_ABOVE)


def normalise(text: str) -> str:
    """The form under which two texts count as equal. For comparing only, never for showing or exporting.

    Unicode NFC, invisible characters removed, every run of white space (line ends included) as one space, case folded.

    The letter i is folded by language, which is read from the text: one that contains any of ``ıİğĞşŞ`` is Turkish, so
    its ``I`` becomes ``ı`` and its ``İ`` becomes ``i``; in any other, ``I`` becomes ``i``. ``SINIR NEDİR`` equals
    ``Sınır nedir`` and not ``Sinir nedir`` (border, nerve). A Turkish text in capitals without any of the six letters is
    read as English: such a duplicate may be missed, but two different texts never become equal because of ı and i.
    """
    text = unicodedata.normalize("NFC", text)
    if not _TURKISH.isdisjoint(text):
        text = text.replace("I", "ı")
    text = text.replace("İ", "i")
    # A lower-cased İ leaves "i" and a combining dot behind: the same letter to a reader.
    text = _DOTTED_I.sub("i", unicodedata.normalize("NFD", text).casefold())
    return " ".join(unicodedata.normalize("NFC", text).translate(_INVISIBLE).split())


# Not white space to Unicode, and yet nothing on the screen.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def is_empty(text: str) -> bool:
    """Whether nothing in the text can be seen: white space, controls, invisible and filler characters."""
    return not any(_visible(character) for character in text)


def _visible(character: str) -> bool:
    if character in _BLANK or "\ufe00" <= character <= "\ufe0f":
        return False
    category = unicodedata.category(character)
    return category[0] != "Z" and category not in {"Cc", "Cf", "Cs"}


# A refusal answers nothing; an answer this long (in characters) does, whatever its first sentence says.
_LONGEST_REFUSAL = 1500

# Patterns are matched at the very start of the normalised text, with ı read as i. They ask for the whole phrase (who
# cannot, do what, about this request), because "I'm sorry, but I can't come on Friday" is a good answer to "decline the
# invitation" and "I can't help this feeling" is a song.
_REFUSAL_PARTS = {
    "SORRY": r"(?:(?:i['’]m|i am) (?:very |really |so |truly )?sorry|sorry|i apologi[sz]e|my apologies)[,.;:!]? (?:but )?",
    "AI": r"as an? (?:responsible )?(?:ai|artificial intelligence|(?:large )?language model)(?: [a-z-]+){0,4},? ",
    "CANNOT": r"i(?: can['’]t| cannot| can not| won['’]t| will not| am (?:not able|unable) to|['’]m (?:not able|unable) to)",
    "REQUEST": r"(?:that|this|these|those|your|such|the)(?: (?:specific|particular|type of|kind of|sort of))?"
    r"(?: (?:requests?|questions?|prompts?|topics?|tasks?|content|information))?",
    "ÜZGÜN": r"(?:çok )?(?:üzgünüm|özür dilerim|kusura bakmayın|maalesef|ne yazık ki)[,.;:!]? "
    r"(?:ama |ancak |fakat )?(?:maalesef |ne yazık ki )?",
    "BU": r"(?:(?:size|sana) )?(?:bu|böyle bir|bu (?:tür|tarz|tip|gibi)(?: bir)?) ",
    "KONUDA": r"(?:konu(?:da|larda)|istekte|isteklerde|talepte|taleplerde|soruda|sorularda|içerikte|içeriklerde) ",
    "İSTEĞİ": r"(?:isteği|isteğinizi|istekleri|talebi|talebinizi|talepleri|soruyu|soruya|sorunuzu|sorunuza|soruları|sorulara"
    r"|içeriği|içerikleri|bilgiyi|bilgileri) ",
    "YARDIM": r"(?:size |sana )?(?:yardımcı ola|yardım ede)(?:mam|mem|mıyorum|miyorum)",
    "YAPMAM": r"(?:yerine getir|karşıla|yanıtla|cevapla|cevap ver|yanıt ver|sağla|oluştur|üret|yaz|paylaş)"
    r"(?:y?[ae]m[ae]m|y?[ae]m[ıi]yorum)",
}

# (what it catches, pattern); a capital word in braces stands for its part above.
_REFUSAL_FORMS = (
    (
        "I can't help with that",
        r"(?:{SORRY}|unfortunately,? )?(?:{AI})?{CANNOT} (?:help|assist)(?: you)? (?:with|in) "
        r"(?:{REQUEST}|any|anything|creating|writing|making|generating|providing|planning)",
    ),
    (
        "I cannot fulfill your request",
        r"(?:{SORRY}|unfortunately,? )?(?:{AI})?{CANNOT} (?:fulfill?|comply with) {REQUEST}",
    ),
    ("I'm sorry, but I can't do that", r"{SORRY}(?:{AI})?{CANNOT} (?:do|answer|provide|discuss) {REQUEST}(?=[.!]|$)"),
    (
        "As an AI language model, I cannot provide",
        r"(?:{SORRY})?{AI}{CANNOT} (?:provide|generate|create|write|produce|engage in|participate in|discuss|promote|condone)"
        r"(?![^.!?\n]*\b(?:but|however|though)\b)",
    ),
    (
        "I must decline this request",
        r"(?:{SORRY})?i (?:must|have to) (?:respectfully |politely )?(?:decline|refuse) (?:this|that|your) request",
    ),
    ("Bu konuda yardımcı olamam", r"(?:{ÜZGÜN})?{BU}{KONUDA}{YARDIM}"),
    ("Üzgünüm, size yardımcı olamam", r"{ÜZGÜN}{YARDIM}"),
    ("Bu isteği yerine getiremem", r"(?:{ÜZGÜN})?{BU}{İSTEĞİ}{YAPMAM}"),
    (
        "Üzgünüm, bunu yapamam",
        r"(?:çok )?(?:üzgünüm|özür dilerim)[,.]? (?:ama |ancak |fakat )?bunu yapa(?:mam|mıyorum)(?=[.!]|$)",
    ),
    (
        "Bir yapay zeka olarak … yardımcı olamam",
        r"(?:{ÜZGÜN})?(?:bir )?yapay zek[aâ](?: [a-zçğıöşü]+){0,3} olarak,? (?:[^.!?\n]{0,100} )?(?:{YARDIM}|{YAPMAM})",
    ),
)


def _refusal(form: str) -> re.Pattern[str]:
    for name, part in _REFUSAL_PARTS.items():
        form = form.replace("{" + name + "}", part)
    return re.compile(form.replace("ı", "i") + r"(?!\w)")


_REFUSALS = tuple(_refusal(form) for _, form in _REFUSAL_FORMS)


def is_refusal(text: str) -> bool:
    """Whether the text opens like a model's refusal, in English or Turkish.

    Precision comes first: only openings that say outright that this request will not be met. A refusal in a story's
    dialogue (it begins with a quotation mark), a polite "no" that the prompt asked for ("I cannot attend"), a hedge
    before an answer ("as an AI I cannot …, but"), and a long answer are none. So some refusals are missed.
    """
    if len(text) > _LONGEST_REFUSAL:
        return False
    opening = normalise(text[:400]).replace("ı", "i")
    return any(pattern.match(opening) for pattern in _REFUSALS)


# Escape sequences whole (CSI, OSC and the other strings with their end, two-character ones), so that no remains show.
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?"
    "|\x1b[ -/]*[0-~]"
)
# C0 but tab and newline, DEL, C1, marks and overrides of writing direction, lone surrogates (they cannot be encoded).
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def strip_controls(text: str) -> str:
    """The text with nothing in it that commands a terminal. Tabs and line ends stay; a carriage return becomes a line end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def unstorable(text: str) -> str | None:
    """The first character that databases and UTF-8 files refuse, in words ("a NUL character at 17"), or None."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return None
    kind = "a NUL character" if found[0] == "\x00" else "a lone surrogate"
    return f"{kind} at {found.start()}"
