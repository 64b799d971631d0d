"""A cell's value as a conversation or a completion, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pref_argilla.schema import Message, Role
from pref_argilla.sources.rows import BadReason, shown

# OpenAI's names of the roles, then ShareGPT's.
_ROLES = {
    "system": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "human": Role.USER,
    "gpt": Role.ASSISTANT,
}
_TURN_KEYS = (("role", "content"), ("from", "value"))


class RowError(Exception):
    """One row cannot be used; becomes a ``BadRow`` where the row's place is known."""

    def __init__(self, reason: BadReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_conversation(value: object, *, text_cells: bool) -> bool:
    """Whether the cell holds a list of messages rather than text."""
    try:
        return isinstance(_unpacked(value, text_cells=text_cells), list)
    except RowError:
        return False


def turns(value: object, *, text_cells: bool) -> tuple[Message, ...]:
    """A prompt's cell as turns: text is one user turn; lists of ``{role, content}`` or ``{from, value}`` are read as they
    are. An empty system message says nothing and is left out. Raises RowError.

    >>> turns([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yes?"}], text_cells=False)[1].content
    'Yes?'
    """
    value = _unpacked(value, text_cells=text_cells)
    if value is None:
        raise RowError(BadReason.PROMPT_EMPTY)
    if isinstance(value, str):
        if not value.strip():
            raise RowError(BadReason.PROMPT_EMPTY)
        check_characters(value, "prompt")
        return (Message(Role.USER, value),)
    if not isinstance(value, list):
        raise RowError(BadReason.PROMPT_NOT_TEXT, shown(value))
    if not value:
        raise RowError(BadReason.PROMPT_EMPTY, "no messages")
    messages = tuple(_turn(turn, number) for number, turn in enumerate(value, start=1))
    if messages[0].role is Role.SYSTEM and not messages[0].content.strip():
        messages = messages[1:]
    _check_order(messages)
    return messages


def prompt_turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    """``messages`` if they end with the user, as a prompt must. Raises RowError."""
    if messages[-1].role is not Role.USER:
        raise RowError(BadReason.WRONG_ROLES, f"the last turn is the {messages[-1].role}'s, not the user's")
    return tuple(messages)


def split_completion(messages: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    """A conversation that ends with the assistant, as (prompt, completion). Raises RowError."""
    if messages[-1].role is not Role.ASSISTANT:
        raise RowError(BadReason.COMPLETION_EMPTY, "the conversation does not end with an assistant turn")
    return prompt_turns(messages[:-1]), messages[-1].content


def joined(values: Sequence[object]) -> str:
    """Several columns as one prompt: the texts without the white space around them, a blank line between, empty ones left
    out. The first must be there. Raises RowError.
    """
    texts = []
    for value in values:
        if value is not None and not isinstance(value, str):
            raise RowError(BadReason.PROMPT_NOT_TEXT, shown(value))
        texts.append((value or "").strip())
    if not texts[0]:
        raise RowError(BadReason.PROMPT_EMPTY, "nothing in the first of its columns")
    return "\n\n".join(text for text in texts if text)


def completion_text(value: object) -> str:
    """A completion's cell: text, one assistant message, or a list with just that. White space is kept. Raises RowError.

    Text is never unpacked: a model may well have been asked to answer in JSON.
    """
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, Mapping):
        message = _turn(value, 1, empty=BadReason.COMPLETION_EMPTY, not_text=BadReason.COMPLETION_NOT_TEXT)
        if message.role is not Role.ASSISTANT:
            raise RowError(BadReason.WRONG_ROLES, f"the completion is the {message.role}'s, not the assistant's")
        value = message.content
    if value is None:
        raise RowError(BadReason.COMPLETION_EMPTY)
    if not isinstance(value, str):
        raise RowError(BadReason.COMPLETION_NOT_TEXT, shown(value))
    if not value.strip():
        raise RowError(BadReason.COMPLETION_EMPTY)
    check_characters(value, "completion")
    return value


def check_characters(text: str, name: str) -> None:
    """NUL and lone surrogates cannot be stored and sent everywhere a text must go; nothing else is refused."""
    if "\x00" in text:
        raise RowError(BadReason.BAD_CHARACTERS, f"NUL at character {text.index(chr(0))} of the {name}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(
            BadReason.BAD_CHARACTERS, f"half a surrogate pair at character {error.start} of the {name}"
        ) from error


def _unpacked(value: object, *, text_cells: bool) -> object:
    """In a format of text cells, JSON text of messages as what it says; any other text stays text."""
    if not text_cells or not isinstance(value, str):
        return value
    text = value.strip()
    if not text.startswith("["):
        return value
    if text.startswith(("[{'role'", "[{'from'", "[{'content'", "[{'value'")):
        raise RowError(BadReason.PROMPT_NOT_TEXT, "messages written by Python's str(), not as JSON")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, list) and parsed and all(_turn_keys(turn) for turn in parsed) else value


def _turn_keys(turn: object) -> tuple[str, str] | None:
    if not isinstance(turn, Mapping):
        return None
    return next((keys for keys in _TURN_KEYS if keys[0] in turn and keys[1] in turn), None)


def _turn(
    turn: object,
    number: int,
    *,
    empty: BadReason = BadReason.PROMPT_EMPTY,
    not_text: BadReason = BadReason.PROMPT_NOT_TEXT,
) -> Message:
    keys = _turn_keys(turn)
    if keys is None or not isinstance(turn, Mapping):
        raise RowError(not_text, f"message {number} is no {{role, content}}: {shown(turn)}")
    role, content = turn[keys[0]], turn[keys[1]]
    if not isinstance(role, str) or role not in _ROLES:
        raise RowError(BadReason.WRONG_ROLES, f"message {number} has the role {shown(role)}")
    if content is None:
        raise RowError(empty, f"message {number}")
    if not isinstance(content, str):
        raise RowError(not_text, f"message {number}: {shown(content)}")
    if not content.strip() and not (_ROLES[role] is Role.SYSTEM and number == 1):
        raise RowError(empty, f"message {number}")
    check_characters(content, f"message {number}")
    return Message(_ROLES[role], content)


def _check_order(messages: Sequence[Message]) -> None:
    """An optional system message, then user and assistant in turn, beginning with the user: what chat templates take."""
    dialogue = messages[1:] if messages and messages[0].role is Role.SYSTEM else messages
    if not dialogue:
        raise RowError(BadReason.PROMPT_EMPTY, "only a system message")
    for number, message in enumerate(dialogue):
        expected = Role.ASSISTANT if number % 2 else Role.USER
        if message.role is not expected:
            place = number + 1 + len(messages) - len(dialogue)
            raise RowError(
                BadReason.WRONG_ROLES, f"message {place} is the {message.role}'s where the {expected}'s turn is"
            )
