"""A thousand generated records, and what Argilla's search must find among them, computed by brute force.

Nothing here reads the query language or SQL: a case says in plain words what its text query means (``means``), and
filters, sorts and scores are evaluated over Python values.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

RECORDS = 1000
DIMENSIONS = 8
FIELDS = {
    "prompt": {"type": "text", "use_markdown": False},
    "answer": {"type": "text", "use_markdown": True},
    "talk": {"type": "chat", "use_markdown": True},
    "extra": {"type": "custom", "template": "<div></div>", "advanced_mode": False},
}
LABELS = ["good", "bad", "çok iyi"]
TAGS = ["fast", "slow", "funny", "dull"]
QUESTIONS = {
    "label": {"type": "label_selection", "options": [{"value": value, "text": value} for value in LABELS]},
    "rating": {"type": "rating", "options": [{"value": value} for value in range(1, 6)]},
    # A name with letters that JSON escapes, a dot and quotes: none of it may matter.
    'etiket.ı "t"': {"type": "multi_label_selection", "options": [{"value": value, "text": value} for value in TAGS]},
    "rank": {"type": "ranking", "options": [{"value": value, "text": value} for value in "abc"]},
    "comment": {"type": "text", "use_markdown": False},
}
MULTI = 'etiket.ı "t"'
TOPICS = ["science", "sport", "yemek", "müzik", "travel"]
METADATA = {"konu-ı": "terms", "length": "integer", "quality": "float"}
AGENTS = ["judge-small", "judge-large"]

# Canonical words, each with the spellings that must be found as the same word.
WORDS = {
    "apple": ["apple", "Apple", "APPLE"],
    "apples": ["apples", "Apples"],
    "river": ["river", "River,", "(river)"],
    "mountain": ["mountain", "MOUNTAIN."],
    "istanbul": ["istanbul", "İstanbul", "İSTANBUL", "Istanbul", "ISTANBUL", "I\u0307stanbul"],
    "isparta": ["ısparta", "Isparta", "ISPARTA", "isparta"],
    "cay": ["cay", "Cay"],
    "çay": ["çay", "ÇAY", "c\u0327ay"],
    "güzel": ["güzel", "Güzel!", "GÜZEL"],
    "kitap": ["kitap", "Kitap", "KİTAP", "KITAP"],
    "shell": ["shell", "$SHELL"],
    "list": ["List<", "list", "LIST"],
    "string": ["String>", "string"],
    "42": ["42", "42,"],
    "naïve": ["naïve", "NAÏVE"],
    "quiet": ["quiet"],
    "zebra": ["zebra"],
    "common": ["common", "Common"],
}
WEIGHTS = {"common": 40, "apple": 12, "zebra": 1, "quiet": 2}

Tokens = list[str]


@dataclass
class Record:
    """One record: what is sent (``payload``) and the canonical words of each searched field, message by message."""

    number: int
    payload: dict[str, Any]
    words: dict[str, list[Tokens]]
    metadata: dict[str, Any]
    suggestions: dict[str, dict[str, Any]]
    responses: dict[str, dict[str, Any]]
    vector: list[float] | None
    id: str = ""
    inserted_at: str = ""
    updated_at: str = ""
    status: str = ""

    @property
    def external_id(self) -> str | None:
        value: str | None = self.payload.get("external_id")
        return value


@dataclass
class World:
    records: list[Record]
    users: list[str]
    sets: dict[str, Any] = field(default_factory=dict)


def make_world(users: list[str], question_ids: dict[str, str]) -> World:
    """The records; ``users`` are the ids of three annotators. The same arguments give the same records."""
    chance = random.Random(20260101)
    return World([_record(number, chance, users, question_ids) for number in range(RECORDS)], users)


def _record(number: int, chance: random.Random, users: list[str], question_ids: dict[str, str]) -> Record:
    words: dict[str, list[Tokens]] = {}
    fields: dict[str, Any] = {}
    words["prompt"], fields["prompt"] = _text(chance, 4, 30)
    if chance.random() < 0.9:
        words["answer"], fields["answer"] = _text(chance, 1, 20)
    if chance.random() < 0.7:
        messages = [_text(chance, 1, 8) for _ in range(chance.randint(1, 4))]
        words["talk"] = [tokens for [tokens], _ in messages]
        roles = ["user", "assistant"]
        fields["talk"] = [{"role": roles[place % 2], "content": text} for place, (_, text) in enumerate(messages)]
    if chance.random() < 0.4:
        note, tag = _text(chance, 1, 5), chance.choice(["alpha", "beta"])
        words["extra"] = [["note"], *note[0], ["tags"], [tag], ["7"]]
        fields["extra"] = {"note": note[1], "tags": [tag, 7]}

    metadata: dict[str, Any] = {}
    if chance.random() < 0.8:
        topic = chance.choice(TOPICS)
        metadata["konu-ı"] = topic if chance.random() < 0.7 else sorted({topic, chance.choice(TOPICS)})
    if chance.random() < 0.9:
        metadata["length"] = chance.randint(-20, 20)
    if chance.random() < 0.9:
        metadata["quality"] = round(chance.uniform(-1, 1), 4)

    suggestions: dict[str, dict[str, Any]] = {}
    if chance.random() < 0.6:
        suggestions["label"] = {"value": chance.choice(LABELS), "score": round(chance.random(), 3)}
    if chance.random() < 0.5:
        suggestions["rating"] = {"value": chance.randint(1, 5)}
        if chance.random() < 0.5:
            suggestions["rating"]["score"] = round(chance.random(), 3)
    if chance.random() < 0.5:
        tags = chance.sample(TAGS, chance.randint(1, 3))
        suggestions[MULTI] = {"value": tags, "score": [round(chance.random(), 3) for _ in tags]}
    if chance.random() < 0.3:
        suggestions["rank"] = {"value": [{"value": value, "rank": chance.randint(1, 3)} for value in "abc"]}
    for suggestion in suggestions.values():
        suggestion["agent"] = chance.choice([*AGENTS, None])
        suggestion["type"] = chance.choice(["model", "human", None])

    responses: dict[str, dict[str, Any]] = {}
    for user in users:
        if chance.random() < 0.35:
            responses[user] = _response(chance)

    vector = None
    if chance.random() < 0.8:
        vector = [round(chance.gauss(0, 1), 4) for _ in range(DIMENSIONS)]
    payload: dict[str, Any] = {
        "fields": fields,
        "metadata": metadata,
        "suggestions": [
            {
                "question_id": question_ids[name],
                **{key: value for key, value in suggestion.items() if value is not None},
            }
            for name, suggestion in suggestions.items()
        ],
        "responses": [{"user_id": user, **response} for user, response in responses.items()],
    }
    if number % 10:
        payload["external_id"] = f"e{number * 7919 % 10007:05d}"
    if vector is not None:
        payload["vectors"] = {"meaning": vector}
    return Record(number, payload, words, metadata, suggestions, responses, vector)


def _text(chance: random.Random, shortest: int, longest: int) -> tuple[list[Tokens], str]:
    names = list(WORDS)
    weights = [WEIGHTS.get(name, 6) for name in names]
    tokens = chance.choices(names, weights, k=chance.randint(shortest, longest))
    spelled = [chance.choice(WORDS[token]) for token in tokens]
    return [tokens], chance.choice([" ", "  ", " - ", "\n"]).join(spelled)


def _response(chance: random.Random) -> dict[str, Any]:
    status = chance.choices(["submitted", "draft", "discarded"], [6, 2, 2])[0]
    values: dict[str, Any] = {"label": {"value": chance.choice(LABELS)}}
    if status == "submitted" or chance.random() < 0.5:
        values["rating"] = {"value": chance.randint(1, 5)}
    if chance.random() < 0.5:
        values[MULTI] = {"value": chance.sample(TAGS, chance.randint(1, 3))}
    if chance.random() < 0.5:
        values["comment"] = {"value": "good"}
    if chance.random() < 0.5:
        values["rank"] = {"value": [{"value": value, "rank": 1} for value in "abc"]}
    return {"status": status, "values": values}


# Text queries, by what a case says they mean.


def matches(record: Record, means: dict[str, Any], names: list[str]) -> bool:
    """``means`` is one of {"word"}, {"prefix"}, {"phrase"}, {"together"}, {"all"}, {"any"}, {"not"}, {"every"}, {"none"}."""
    [(kind, value)] = means.items()
    if kind == "all":
        return all(matches(record, part, names) for part in value)
    if kind == "any":
        return any(matches(record, part, names) for part in value)
    if kind == "not":
        return not matches(record, value, names)
    if kind in {"every", "none"}:
        return bool(kind == "every")
    if kind == "together":
        return any(set(value) <= {word for part in record.words.get(name, []) for word in part} for name in names)
    return any(_occurrences(part, kind, value) for name in names for part in record.words.get(name, []))


def _occurrences(tokens: Tokens, kind: str, value: Any) -> int:
    if kind == "word":
        return tokens.count(value)
    if kind == "prefix":
        return sum(token.startswith(value) for token in tokens)
    return sum(tokens[start : start + len(value)] == value for start in range(len(tokens)))


def leaves(means: dict[str, Any]) -> list[tuple[str, Any]]:
    """The words, prefixes and phrases that a match may contain, which are those that earn a score."""
    [(kind, value)] = means.items()
    if kind in {"all", "any"}:
        return [leaf for part in value for leaf in leaves(part)]
    return [(kind, value)] if kind in {"word", "prefix", "phrase"} else []


def bm25(records: list[Record], means: dict[str, Any], names: list[str]) -> dict[str, float]:
    """Okapi BM25 (k1 1.2, b 0.75) over the named fields, idf ln((N - n + 0.5) / (n + 0.5)) but at least 1e-6.

    A record's length counts the words of all its fields, and one more for each boundary between messages or values.
    """
    lengths = {record.id: sum(_length(parts) for parts in record.words.values()) for record in records}
    average = sum(lengths.values()) / len(records)
    scores: dict[str, float] = {}
    for kind, value in {repr(leaf): leaf for leaf in leaves(means)}.values():
        counts = {
            record.id: sum(_occurrences(part, kind, value) for name in names for part in record.words.get(name, []))
            for record in records
        }
        having = sum(1 for count in counts.values() if count)
        idf = max(math.log((len(records) - having + 0.5) / (having + 0.5)), 1e-6)
        for record_id, count in counts.items():
            if count:
                weight = count * 2.2 / (count + 1.2 * (0.25 + 0.75 * lengths[record_id] / average))
                scores[record_id] = scores.get(record_id, 0.0) + idf * weight
    return scores


def _length(parts: list[Tokens]) -> int:
    return sum(len(part) for part in parts) + len(parts) - 1


# Filters and sorts, over the request's own JSON.


def passes(record: Record, filter: dict[str, Any], user: str | None) -> bool:
    scope = filter["scope"]
    if scope["entity"] == "response" and "question" not in scope:
        return _passes_status(record, filter["values"], user)
    values = scope_values(record, scope, user)
    if filter["type"] == "terms":
        return any(_term(value) in {_term(term) for term in filter["values"]} for value in values)
    low, high = filter.get("ge"), filter.get("le")
    return any((low is None or value >= low) and (high is None or value <= high) for value in values)


def _term(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return str(value)


def _passes_status(record: Record, statuses: list[str], user: str | None) -> bool:
    given = [response["status"] for who, response in record.responses.items() if user in {None, who}]
    return ("pending" in statuses and not given) or any(status in statuses for status in given)


def scope_values(record: Record, scope: dict[str, Any], user: str | None) -> list[Any]:
    """The comparable values of a scope; questions of free text and ranking have none, as in Elasticsearch."""
    if scope["entity"] == "record":
        value = getattr(record, scope["property"])
        return [] if value is None else [value]
    if scope["entity"] == "metadata":
        return _several(record.metadata.get(scope["metadata_property"]))
    question: str = scope.get("question", "")
    if scope["entity"] == "suggestion":
        prop = scope.get("property", "value")
        if prop == "value" and question in {"rank", "comment"}:
            return []
        return _several(record.suggestions.get(question, {}).get(prop))
    found = [response for who, response in record.responses.items() if user in {None, who}]
    if not question:
        return [response["status"] for response in found]
    if question in {"rank", "comment"}:
        return []
    return [one for response in found for one in _several(response["values"].get(question, {}).get("value"))]


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def ordered(records: list[Record], sort: list[dict[str, Any]], user: str | None) -> list[Record]:
    """Sorted by every key, records without a value last either way, ties in order of insertion."""
    result = sorted(records, key=lambda record: (record.inserted_at, record.id))
    for order in reversed(sort):
        scope, descending = order["scope"], order["order"] == "desc"
        keys: dict[str, Any] = {}
        for record in result:
            values = scope_values(record, scope, user)
            if values:
                keys[record.id] = _sort_value(scope, values, descending)
        present = [record for record in result if record.id in keys]
        # Python's sort keeps ties in order when reversed, too.
        present.sort(key=lambda record: keys[record.id], reverse=descending)
        result = present + [record for record in result if record.id not in keys]
    return result


def _sort_value(scope: dict[str, Any], values: list[Any], descending: bool) -> Any:
    if scope["entity"] == "response" and all(isinstance(value, int) for value in values):
        return sum(values) / len(values)
    best = max(values) if descending else min(values)
    return best.encode() if isinstance(best, str) else best


def cosine(one: list[float], other: list[float]) -> float:
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / math.hypot(*one) / math.hypot(*other)
