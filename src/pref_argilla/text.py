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

# Each pattern is tried at the very start of the text, after ``_opening``. They ask for the whole phrase (who cannot, do
# what, about this request), because "I'm sorry, but I can't come on Friday" is a good answer to "decline the invitation".
_CANNOT = r"(?:can't|cannot|can not|can’t|won't|will not|am (?:not able|unable) to|'m (?:not able|unable) to|’m (?:not able|unable) to)"
_THIS_EN = (
    r"(?:(?:with|in|on) )?(?:that|this|these|those|your|such|the (?:request|question|prompt))"
    r"(?: (?:specific|particular|type of|kind of|sort of))?(?: (?:request|question|prompt|topic|task|content|information))?s?"
)
_SORRY_EN = (
    r"(?:(?:i'm|i’m|i am) (?:very |really |so |truly )?sorry|sorry|i apologi[sz]e|my apologies)[,.;:!]? (?:but )?"
)
_AS_AI_EN = (
    r"as an? (?:ai|artificial intelligence|large language model|language model|responsible ai)(?: [a-z-]+){0,4},? "
)
_HELP_EN = (
    rf"(?:help|assist|support)(?: you)?(?: {_THIS_EN}|"
    r" (?:with|in) (?:any|anything|creating|writing|making|generating|providing|finding|planning|activities|illegal|harmful)\b)"
)
_FULFIL_EN = (
    rf"(?:fulfil|fulfill|comply with|complete|answer|process|satisfy|accommodate|respond to) {_THIS_EN}"
    r" ?(?:request|question|prompt)?s?\b"
)
_PRODUCE_EN = (
    r"(?:provide|generate|create|write|produce|engage in|participate in|discuss|share|offer|promote|condone|give)"
)
_END = r"(?=[\s.,;:!?)…-]|$)"

_TR_SORRY = r"(?:çok )?(?:üzgünüm|özür dilerim|kusura bakma(?:yın)?|maalesef|ne yazık ki)[,.;:!]? (?:ama |ancak |fakat |maalesef |ne yazık ki )?"
_TR_THIS = r"(?:(?:size|sana) )?(?:bu|böyle bir|bu tür(?: bir)?|bu tarz(?: bir)?|bu gibi|bu tip(?: bir)?) "
_TR_ABOUT = (
    r"(?:konu(?:da|larda)|istek(?:te|lerde)?|talep(?:te|lerde)?|soru(?:da|larda)|durumda|içerik(?:te|lerde)?|şekilde) "
)
_TR_OBJECT = r"(?:iste(?:ği|ğinizi|kleri)|tale(?:bi|binizi|pleri)|soru(?:yu|ya|nuzu|nuza|ları|lara)|konu(?:yu|larda)|içerik(?:leri|ler)?|içeriği|bilgi(?:yi|leri)|görevi) "
_TR_HELP = r"(?:yardımcı ola|yardım ede)(?:mem|mıyorum|miyorum|mam)"
_TR_DO = (
    r"(?:yerine getir|karşıla|yanıtla|cevapla|cevap ver|yanıt ver|sağla|oluştur|üret|yaz|paylaş|sun|hazırla|ver|destekle)"
    r"(?:y?[ae]mem|y?[ae]mam|y?[ae]mıyorum|y?[ae]miyorum)"
)

# (language, what it looks like, pattern)
_REFUSALS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (language, example, re.compile(pattern + _END))
    for language, example, pattern in (
        ("en", "I can't help with that", rf"(?:{_SORRY_EN}|unfortunately,? )?(?:{_AS_AI_EN})?i ?{_CANNOT} {_HELP_EN}"),
        ("en", "I cannot fulfill your request", rf"(?:{_SORRY_EN}|unfortunately,? )?(?:{_AS_AI_EN})?i ?{_CANNOT} {_FULFIL_EN}"),
        ("en", "I'm sorry, but I can't do that", rf"{_SORRY_EN}(?:{_AS_AI_EN})?i ?{_CANNOT} (?:do|answer) (?:that|this)(?=[.!]|$)"),
        ("en", "As an AI language model, I cannot provide", rf"(?:{_SORRY_EN})?{_AS_AI_EN}i ?{_CANNOT} {_PRODUCE_EN}"),
        ("en", "I'm sorry, but as an AI I am not able to", rf"{_SORRY_EN}{_AS_AI_EN}i ?{_CANNOT}"),
        ("en", "I must decline this request", rf"(?:{_SORRY_EN})?i (?:must|have to|need to) (?:respectfully |politely )?(?:decline|refuse) {_THIS_EN} ?request"),
        ("tr", "Bu konuda yardımcı olamam", rf"(?:{_TR_SORRY})?{_TR_THIS}{_TR_ABOUT}(?:size |sana )?{_TR_HELP}"),
        ("tr", "Üzgünüm, size yardımcı olamam", rf"{_TR_SORRY}(?:size |sana )?(?:bu konuda )?(?:size |sana )?{_TR_HELP}"),
        ("tr", "Bu isteği yerine getiremem", rf"(?:{_TR_SORRY})?{_TR_THIS}{_TR_OBJECT}{_TR_DO}"),
        ("tr", "Üzgünüm, bunu yapamam", rf"(?:çok )?(?:üzgünüm|özür dilerim)[,.]? (?:ama |ancak |fakat )?bunu yapa(?:mam|mıyorum)(?=[.!]|$)"),
        ("tr", "Bir yapay zeka olarak … yardımcı olamam", rf"(?:{_TR_SORRY})?(?:bir )?yapay zek[aâ](?: [a-zçğıöşü]+){{0,3}} olarak,? (?:[^.!?\n]{{0,100}} )?(?:{_TR_HELP}|{_TR_DO})"),
    )
)  # fmt: skip


def is_refusal(text: str) -> bool:
    """Whether the text opens like a model's refusal, in English or Turkish.

    Precision comes first: only openings that say outright that this request will not be met. A refusal in a story's
    dialogue (it begins with a quotation mark), a polite "no" that the prompt asked for ("I cannot attend"), and a long
    answer after a hedge are not refusals. Some refusals are missed; ``Completion.refusal`` also takes the endpoint's word.
    """
    if len(text) > _LONGEST_REFUSAL:
        return False
    opening = normalise(text[:400])
    return any(pattern.match(opening) for _, _, pattern in _REFUSALS)


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
