"""The Argilla dataset that a labeling team sees: fields, questions, guidelines, how many rankings complete a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pref_argilla.errors import ConfigError, LabelingDataError
from pref_argilla.labeling.connection import Connection, translated
from pref_argilla.labeling.records import (
    COMMENT_QUESTION,
    FLAGS_QUESTION,
    PROMPT_FIELD,
    RANKING_QUESTION,
    completion_field,
    option,
)

if TYPE_CHECKING:
    import argilla

# Argilla's own limit.
MAX_GUIDELINES = 10_000


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    workspace: str
    name: str
    guidelines: str
    slots: int
    language: str
    min_submitted: int
    chat: bool
    flags: bool
    comment: bool


@dataclass(frozen=True, slots=True)
class _Words:
    prompt: str
    ranking: str
    ranking_help: str
    flags: str
    flags_help: str
    comment: str
    comment_help: str
    flag_titles: tuple[tuple[str, str], ...]


WORDS = {
    "en": _Words(
        prompt="Prompt",
        ranking="Rank the answers, best first",
        ranking_help="Equally good answers share a rank. A digit places the answer in focus, Enter submits, Backspace discards; "
        "click on empty space, then Ctrl+S, to save a draft.",
        flags="Anything wrong? (optional)",
        flags_help="Mark what applies to the record.",
        comment="Comment (optional)",
        comment_help="For the project's owner; not shown to other annotators.",
        flag_titles=(
            ("all_bad", "All answers are bad"),
            ("wrong_language", "Wrong language"),
            ("unsafe", "Unsafe or offensive"),
            ("cut_off", "An answer is cut off"),
            ("prompt_unclear", "The prompt is unclear"),
        ),
    ),
    "tr": _Words(
        prompt="İstem",
        ranking="Yanıtları sıralayın, en iyisi birinci",
        ranking_help="Eşit iyilikteki yanıtlar aynı sırayı paylaşır. Rakam tuşu seçili yanıtı yerleştirir, "
        "Enter gönderir, Backspace reddeder; taslak için boş bir yere tıklayıp Ctrl+S'ye basın.",
        flags="Sorun var mı? (isteğe bağlı)",
        flags_help="Kayıt için geçerli olanları işaretleyin.",
        comment="Yorum (isteğe bağlı)",
        comment_help="Projenin sahibi içindir; öbür etiketleyiciler görmez.",
        flag_titles=(
            ("all_bad", "Yanıtların hepsi kötü"),
            ("wrong_language", "Yanlış dil"),
            ("unsafe", "Güvensiz ya da kırıcı"),
            ("cut_off", "Yarım kalan yanıt var"),
            ("prompt_unclear", "İstem anlaşılmıyor"),
        ),
    ),
}


def find_workspace(connection: Connection, name: str) -> argilla.Workspace | None:
    """None if there is none of that name. (Asking the SDK by name warns on stderr about what is not found.)"""
    with translated(connection.url):
        return next((workspace for workspace in connection.sdk.workspaces if workspace.name == name), None)


def ensure_workspace(connection: Connection, name: str) -> argilla.Workspace:
    """The workspace of that name, created if missing (needs an owner)."""
    import argilla

    with translated(connection.url):
        workspace = find_workspace(connection, name)
        return workspace if workspace is not None else argilla.Workspace(name=name, client=connection.sdk).create()


def ensure_dataset(connection: Connection, spec: DatasetSpec) -> str:
    """The id of the dataset of that workspace and name, created and published if missing.

    A draft left by an interrupted creation holds no records and is made again. Guidelines and ``min_submitted`` of an older
    dataset are brought up to date: the project's files are the truth. Raises LabelingDataError when a published
    dataset of that name was not made for this many completions or this kind of prompt.
    """
    if len(spec.guidelines) > MAX_GUIDELINES:
        raise ConfigError(
            f"guidelines.md has {len(spec.guidelines)} characters; Argilla takes at most {MAX_GUIDELINES}.",
            next_step="Shorten it and push again.",
        )
    workspace = ensure_workspace(connection, spec.workspace)
    with translated(connection.url):
        existing = next((dataset for dataset in workspace.datasets if dataset.name == spec.name), None)
    if existing is not None:
        model = connection.request("GET", f"/datasets/{existing.id}")
        if model["status"] == "ready":
            _require_same_shape(connection, str(existing.id), spec)
            _bring_up_to_date(connection, model, spec)
            return str(existing.id)
        connection.request("DELETE", f"/datasets/{existing.id}")
    return _create(connection, workspace, spec)


def _create(connection: Connection, workspace: argilla.Workspace, spec: DatasetSpec) -> str:
    import argilla as rg

    words = WORDS[spec.language]
    sdk = connection.sdk
    # The SDK names this argument differently for the two kinds of field.
    prompt = (
        rg.ChatField(PROMPT_FIELD, title=words.prompt, use_markdown=True, _client=sdk)
        if spec.chat
        else rg.TextField(PROMPT_FIELD, title=words.prompt, use_markdown=True, client=sdk)
    )
    options = [option(slot) for slot in range(spec.slots)]
    questions: list[Any] = [
        rg.RankingQuestion(
            RANKING_QUESTION,
            {o: o.upper() for o in options},
            title=words.ranking,
            description=words.ranking_help,
            client=sdk,
        )
    ]
    if spec.flags:
        questions.append(
            rg.MultiLabelQuestion(
                FLAGS_QUESTION,
                dict(words.flag_titles),
                title=words.flags,
                description=words.flags_help,
                required=False,
                client=sdk,
            )
        )
    if spec.comment:
        questions.append(
            rg.TextQuestion(
                COMMENT_QUESTION, title=words.comment, description=words.comment_help, required=False, client=sdk
            )
        )
    settings = rg.Settings(
        guidelines=spec.guidelines or None,
        fields=[
            prompt,
            *(
                rg.TextField(completion_field(s), title=o.upper(), use_markdown=True, client=sdk)
                for s, o in enumerate(options)
            ),
        ],
        questions=questions,
        distribution=rg.TaskDistribution(min_submitted=spec.min_submitted),
    )
    with translated(connection.url):
        dataset = rg.Dataset(name=spec.name, workspace=workspace, settings=settings, client=sdk).create()
    return str(dataset.id)


def _bring_up_to_date(connection: Connection, model: Mapping[str, Any], spec: DatasetSpec) -> None:
    changes: dict[str, Any] = {}
    if spec.guidelines and model.get("guidelines") != spec.guidelines:
        changes["guidelines"] = spec.guidelines
    if model["distribution"]["min_submitted"] != spec.min_submitted:
        # Argilla's worker then decides anew which records are complete.
        changes["distribution"] = {"strategy": "overlap", "min_submitted": spec.min_submitted}
    if changes:
        connection.request("PATCH", f"/datasets/{model['id']}", json=changes)


def _require_same_shape(connection: Connection, dataset_id: str, spec: DatasetSpec) -> None:
    questions = connection.request("GET", f"/datasets/{dataset_id}/questions")["items"]
    fields = connection.request("GET", f"/datasets/{dataset_id}/fields")["items"]
    ranking = next((q for q in questions if q["name"] == RANKING_QUESTION and q["settings"]["type"] == "ranking"), None)
    found = [o["value"] for o in ranking["settings"]["options"]] if ranking is not None else []
    prompt_type = next((f["settings"]["type"] for f in fields if f["name"] == PROMPT_FIELD), "none")
    wanted = [option(slot) for slot in range(spec.slots)]
    wanted_type = "chat" if spec.chat else "text"
    if found != wanted or prompt_type != wanted_type:
        raise LabelingDataError(
            f"The Argilla dataset {spec.name!r} in workspace {spec.workspace!r} does not fit this project: it ranks "
            f"{len(found)} answers to a {prompt_type} prompt, wanted are {len(wanted)} answers to a {wanted_type} prompt.",
            cause="Argilla fixes both when a dataset is created.",
            next_step="Set another [argilla] dataset in pref-argilla.toml, "
            "or restore [generate] answers and [argilla] prompt_field.",
        )


def dataset_page(url: str, dataset_id: str) -> str:
    """Where people annotate."""
    return f"{url}/dataset/{dataset_id}/annotation-mode"
