"""Which column is which, and what a row must be."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pref_argilla.errors import InputError, UsageError
from pref_argilla.schema import FinishReason, Message, Prompt, Role
from pref_argilla.sources import (
    BadReason,
    BadRow,
    ColumnUse,
    CompletionRow,
    PromptRow,
    parse_columns,
    read_completions,
    read_prompts,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"
MODELS = ("davinci", "davinci-self-instruct", "text-davinci-001", "text-davinci-003")


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def one_prompt(tmp_path: Path, value: object) -> PromptRow | BadRow:
    (row,) = read_prompts(write(tmp_path / "rows.jsonl", {"prompt": value}))
    return row


def one_completion(tmp_path: Path, prompt: object, completion: object) -> CompletionRow | BadRow:
    file = write(tmp_path / "rows.jsonl", {"prompt": prompt, "completion": completion})
    (row,) = read_completions(file, origin="m")
    return row


def reason(row: object) -> BadReason:
    assert isinstance(row, BadRow), row
    return row.reason


def turns(row: object) -> list[tuple[str, str]]:
    assert isinstance(row, PromptRow | CompletionRow), row
    return [(str(message.role), message.content) for message in row.prompt.messages]


class TestColumns:
    @pytest.mark.parametrize(
        "name",
        [
            "prompt",
            "Prompt",
            "instruction",
            "question",
            "messages",
            "conversations",
            "İstem",
            "istem",
            "ISTEM",
            "talimat",
            "soru",
        ],
    )
    def test_usual_names_are_found(self, name: str, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"n": 1, name: "Hi"})
        assert [turns(row) for row in read_prompts(file)] == [[("user", "Hi")]]

    @pytest.mark.parametrize("name", ["completion", "response", "output", "answer", "yanıt", "YANIT", "cevap", "çıktı"])
    def test_usual_names_of_completions_and_origins(self, name: str, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "Hi", name: " Ho ", "model": "tiny"})
        (row,) = read_completions(file)
        assert isinstance(row, CompletionRow)
        assert (row.completion.text, row.completion.origin) == (" Ho ", "tiny")
        assert row.completion.prompt_id == row.prompt.id == Prompt.of([Message(Role.USER, "Hi")]).id
        assert row.completion.finish_reason is FinishReason.UNKNOWN

    def test_between_two_none_is_chosen(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a", "n": 1}, {"question": "b"})
        with pytest.raises(InputError, match="2 columns that could be the prompt: prompt, question") as caught:
            read_prompts(file)
        assert "prompt, n, question" in caught.value.cause
        assert "--column prompt=" in caught.value.next_step
        assert [turns(row) for row in read_prompts(file, {"prompt": "prompt"}) if isinstance(row, PromptRow)] == [
            [("user", "a")]
        ]

    def test_no_known_column(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"metin": "a", "konu": "b"})
        with pytest.raises(InputError, match="no column that is known to hold prompts") as caught:
            read_prompts(file)
        assert caught.value.cause == "Its columns are metin, konu."
        assert "--column prompt=NAME" in caught.value.next_step

    @pytest.mark.parametrize("key", ["prompt", "completion", "origin", "id", "source"])
    @pytest.mark.parametrize("name", ["nope", "meta.nope", "meta.list.9", "prompt.x"])
    def test_a_column_that_no_row_has(self, key: str, name: str, tmp_path: Path) -> None:
        row = {"prompt": "a", "completion": "b", "origin": "c", "meta": {"list": [1]}}
        file = write(tmp_path / "rows.jsonl", row, row)
        with pytest.raises(InputError, match="no column") as caught:
            read_completions(file, {key: name})
        assert caught.value.cause == "Its columns are prompt, completion, origin, meta."
        assert f"--column {key}=" in caught.value.next_step

    def test_a_column_that_only_a_late_row_has(self, tmp_path: Path) -> None:
        rows = [*({"prompt": "a"} for _ in range(1500)), {"soru2": "b"}]
        found = list(read_prompts(write(tmp_path / "rows.jsonl", *rows), {"prompt": "soru2"}))
        assert [reason(row) for row in found[:-1]] == [BadReason.COLUMN_MISSING] * 1500
        assert turns(found[-1]) == [("user", "b")]

    def test_the_wrong_column_of_a_csv_file(self, tmp_path: Path) -> None:
        (tmp_path / "rows.csv").write_text("metin,konu\na,b\n")
        with pytest.raises(InputError, match="no column 'prompt'") as caught:
            read_prompts(tmp_path / "rows.csv", {"prompt": "prompt"})
        assert "metin, konu" in caught.value.cause

    def test_a_name_in_another_unicode_form(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {unicodedata.normalize("NFD", "İstem ğ"): "a"})
        assert turns(next(read_prompts(file, {"prompt": "İstem ğ"}))) == [("user", "a")]

    def test_a_column_whose_name_has_a_dot_or_a_plus(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"a.b": "dot", "c+d": "plus", "a": {"b": "nested"}, "c": "c", "d": "d"})
        assert turns(next(read_prompts(file, {"prompt": "a.b"}))) == [("user", "dot")]
        assert turns(next(read_prompts(file, {"prompt": "c+d"}))) == [("user", "plus")]
        assert turns(next(read_prompts(file, {"prompt": "c+d+a.b"}))) == [("user", "c\n\nd\n\ndot")]

    def test_an_instruction_is_read_with_its_input(self, tmp_path: Path) -> None:
        rows = [
            {"instruction": "Translate.\n", "input": "Ev", "output": "House"},
            {"instruction": "Sing.", "input": "", "output": "La"},
            {"instruction": "Dance.", "output": "No"},
            {"instruction": "", "input": "x", "output": "No"},
            {"instruction": "Count.", "input": 3, "output": "No"},
        ]
        file = write(tmp_path / "rows.jsonl", *rows)
        found = list(read_prompts(file))
        assert [turns(row)[0][1] for row in found[:3]] == ["Translate.\n\nEv", "Sing.", "Dance."]
        assert [reason(row) for row in found[3:]] == [BadReason.PROMPT_EMPTY, BadReason.PROMPT_NOT_TEXT]
        assert turns(next(read_prompts(file, {"prompt": "instruction"}))) == [("user", "Translate.\n")]

    def test_what_was_read_from_where_is_told(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"instruction": "a", "input": "b", "output": "c", "nr": 1, "tag": ""})
        told: list[ColumnUse] = []
        list(read_completions(file, {"id": "nr"}, origin="m", on_columns=told.append))
        assert told == [ColumnUse(("instruction", "input"), "output", "", "nr", "", ("tag",))]

    def test_options_of_the_command_line(self) -> None:
        assert parse_columns(["prompt=İstem", "completion=a=b"]) == {"prompt": "İstem", "completion": "a=b"}
        for options in (["prompt"], ["prompt="], ["chosen=x"], ["prompt=a", "prompt=b"], ["=x"]):
            with pytest.raises(UsageError, match="--column"):
                parse_columns(options)


class TestPrompts:
    def test_text_is_kept_as_it_is(self, tmp_path: Path) -> None:
        text = "  Nasıl?\n\x01\u2028 <b>&amp;"
        assert turns(one_prompt(tmp_path, text)) == [("user", text)]

    @pytest.mark.parametrize("keys", [("role", "content"), ("from", "value")])
    def test_lists_of_messages(self, keys: tuple[str, str], tmp_path: Path) -> None:
        roles = ("system", "user", "assistant", "user") if keys[0] == "role" else ("system", "human", "gpt", "human")
        value = [{keys[0]: role, keys[1]: str(n), "weight": None} for n, role in enumerate(roles)]
        assert turns(one_prompt(tmp_path, value)) == [("system", "0"), ("user", "1"), ("assistant", "2"), ("user", "3")]

    def test_an_empty_system_message_is_left_out(self, tmp_path: Path) -> None:
        value = [{"role": "system", "content": " "}, {"role": "user", "content": "a"}]
        assert turns(one_prompt(tmp_path, value)) == [("user", "a")]

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("", BadReason.PROMPT_EMPTY),
            (" \n\u2003", BadReason.PROMPT_EMPTY),
            (None, BadReason.PROMPT_EMPTY),
            ([], BadReason.PROMPT_EMPTY),
            ([{"role": "user", "content": ""}], BadReason.PROMPT_EMPTY),
            ([{"role": "user", "content": None}], BadReason.PROMPT_EMPTY),
            ([{"role": "system", "content": "a"}], BadReason.PROMPT_EMPTY),
            ([{"role": "system", "content": ""}], BadReason.PROMPT_EMPTY),
            (3, BadReason.PROMPT_NOT_TEXT),
            (True, BadReason.PROMPT_NOT_TEXT),
            ({"role": "user", "content": "a"}, BadReason.PROMPT_NOT_TEXT),
            (["a"], BadReason.PROMPT_NOT_TEXT),
            ([{"role": "user"}], BadReason.PROMPT_NOT_TEXT),
            ([{"role": "user", "content": [{"type": "text", "text": "a"}]}], BadReason.PROMPT_NOT_TEXT),
            ([{"role": "tool", "content": "a"}], BadReason.WRONG_ROLES),
            ([{"role": 1, "content": "a"}], BadReason.WRONG_ROLES),
            ([{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}], BadReason.WRONG_ROLES),
            ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], BadReason.WRONG_ROLES),
            ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], BadReason.WRONG_ROLES),
            ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], BadReason.WRONG_ROLES),
            ("a\x00b", BadReason.BAD_CHARACTERS),
            ("a\ud83d", BadReason.BAD_CHARACTERS),
            ([{"role": "user", "content": "\udc00"}], BadReason.BAD_CHARACTERS),
        ],
    )
    def test_what_is_no_prompt(self, value: object, expected: BadReason, tmp_path: Path) -> None:
        assert reason(one_prompt(tmp_path, value)) is expected

    def test_messages_as_json_in_a_cell_of_text(self, tmp_path: Path) -> None:
        value = json.dumps([{"role": "user", "content": "a"}]).replace('"', '""')
        (tmp_path / "rows.csv").write_text(
            f'prompt,n\n"{value}",1\n"[1] is a list, [{{}}] too",2\n"[{{""role"": 1}}]",3\n'
        )
        assert [turns(row) for row in read_prompts(tmp_path / "rows.csv")] == [
            [("user", "a")],
            [("user", "[1] is a list, [{}] too")],
            [("user", '[{"role": 1}]')],
        ]

    def test_json_in_a_json_string_is_text(self, tmp_path: Path) -> None:
        value = json.dumps([{"role": "user", "content": "a"}])
        assert turns(one_prompt(tmp_path, value)) == [("user", value)]

    def test_messages_written_by_python_are_not_taken_for_text(self, tmp_path: Path) -> None:
        (tmp_path / "rows.csv").write_text('prompt\n"' + str([{"role": "user", "content": "a"}]) + '"\n')
        (row,) = read_prompts(tmp_path / "rows.csv")
        assert reason(row) is BadReason.PROMPT_NOT_TEXT

    def test_source_and_id(self, tmp_path: Path) -> None:
        file = write(
            tmp_path / "rows.jsonl", {"prompt": "a", "nr": 7, "from": "app"}, {"prompt": "b", "nr": None, "from": ""}
        )
        found = list(read_prompts(file, {"id": "nr", "source": "from"}))
        assert [(row.external_id, row.prompt.source) for row in found if isinstance(row, PromptRow)] == [
            ("7", "app"),
            ("", "rows.jsonl"),
        ]
        named = next(read_prompts(file, source="my set"))
        assert isinstance(named, PromptRow)
        assert named.prompt.source == "my set"

    @pytest.mark.parametrize("value", [True, 1.5, ["a"], "a\x00"])
    def test_an_id_that_is_no_text(self, value: object, tmp_path: Path) -> None:
        (row,) = read_prompts(write(tmp_path / "rows.jsonl", {"prompt": "a", "nr": value}), {"id": "nr"})
        assert reason(row) in (BadReason.BAD_METADATA, BadReason.BAD_CHARACTERS)

    def test_reading_twice_gives_the_same_ids(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a"}, {"prompt": [{"from": "human", "value": "a"}]})
        ids = {row.prompt.id for _ in range(2) for row in read_prompts(file) if isinstance(row, PromptRow)}
        assert ids == {Prompt.of([Message(Role.USER, "a")]).id}

    def test_what_a_message_shows_of_a_row_is_short(self, tmp_path: Path) -> None:
        row = one_prompt(tmp_path, {"x": "y" * 10_000})
        assert len(str(row)) < 300

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
            lambda children: (
                st.lists(children) | st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), children)
            ),
        )
    )
    def test_any_value_is_a_prompt_or_a_bad_row(self, tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
        row = one_prompt(tmp_path_factory.mktemp("any"), value)
        if isinstance(row, PromptRow):
            assert row.prompt.messages[-1].role is Role.USER
            assert all(message.content.strip() for message in row.prompt.messages)


class TestCompletions:
    @pytest.mark.parametrize(
        "value", ["yes", {"role": "assistant", "content": "yes"}, [{"from": "gpt", "value": "yes"}]]
    )
    def test_text_or_one_message(self, value: object, tmp_path: Path) -> None:
        row = one_completion(tmp_path, "a", value)
        assert isinstance(row, CompletionRow)
        assert row.completion.text == "yes"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("", BadReason.COMPLETION_EMPTY),
            ("\n", BadReason.COMPLETION_EMPTY),
            (None, BadReason.COMPLETION_EMPTY),
            ([{"role": "assistant", "content": ""}], BadReason.COMPLETION_EMPTY),
            (True, BadReason.COMPLETION_NOT_TEXT),
            (["a", "b"], BadReason.COMPLETION_NOT_TEXT),
            ([], BadReason.COMPLETION_NOT_TEXT),
            ({"text": "a"}, BadReason.COMPLETION_NOT_TEXT),
            ([{"role": "user", "content": "a"}], BadReason.WRONG_ROLES),
            ("a\x00", BadReason.BAD_CHARACTERS),
            ("\udfff", BadReason.BAD_CHARACTERS),
        ],
    )
    def test_what_is_no_completion(self, value: object, expected: BadReason, tmp_path: Path) -> None:
        assert reason(one_completion(tmp_path, "a", value)) is expected

    def test_an_answer_in_json_is_text_even_in_csv(self, tmp_path: Path) -> None:
        answer = '[{"role": "admin", "content": "x"}]'
        escaped = answer.replace('"', '""')
        (tmp_path / "rows.csv").write_text(f'prompt,completion\na,"{escaped}"\n')
        (row,) = read_completions(tmp_path / "rows.csv", origin="m")
        assert isinstance(row, CompletionRow)
        assert row.completion.text == answer

    def test_the_last_assistant_turn_is_the_completion(self, tmp_path: Path) -> None:
        talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": " b "}]
        longer = [*talk, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
        file = write(
            tmp_path / "rows.jsonl",
            {"messages": talk},
            {"messages": longer},
            {"messages": longer[:3]},
            {"messages": "x"},
        )
        told: list[ColumnUse] = []
        found = list(read_completions(file, origin="m", on_columns=told.append))
        assert [row.completion.text for row in found if isinstance(row, CompletionRow)] == [" b ", "d"]
        assert turns(found[1]) == [("user", "a"), ("assistant", " b "), ("user", "c")]
        assert [reason(row) for row in found[2:]] == [BadReason.COMPLETION_EMPTY] * 2
        assert told[0].completion == "messages (last assistant turn)"
        assert {reason(row) for row in list(read_prompts(file))[:2]} == {BadReason.WRONG_ROLES}

    def test_a_conversation_that_ends_with_the_assistant_takes_no_second_completion(self, tmp_path: Path) -> None:
        talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        assert reason(one_completion(tmp_path, talk, "c")) is BadReason.WRONG_ROLES

    def test_without_a_completion_the_columns_are_listed(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a", "metin": "b"})
        with pytest.raises(InputError, match="known to hold completions") as caught:
            read_completions(file, origin="m")
        assert "prompt, metin" in caught.value.cause

    def test_without_an_origin(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"})
        with pytest.raises(InputError, match="which model wrote") as caught:
            read_completions(file)
        assert "--origin NAME" in caught.value.next_step
        for origin in ("", " "):
            with pytest.raises(UsageError, match="origin is empty"):
                read_completions(file, origin=origin)

    def test_an_origin_and_a_column_for_it(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b", "model": "c"})
        with pytest.raises(UsageError, match="Both"):
            read_completions(file, {"origin": "model"}, origin="m")
        (row,) = read_completions(file, origin="m")
        assert isinstance(row, CompletionRow)
        assert row.completion.origin == "m"

    @pytest.mark.parametrize("value", ["", None, 3])
    def test_a_row_without_an_origin(self, value: object, tmp_path: Path) -> None:
        (row,) = read_completions(write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b", "origin": value}))
        assert reason(row) is BadReason.ORIGIN_MISSING

    def test_a_row_without_the_column(self, tmp_path: Path) -> None:
        file = write(tmp_path / "rows.jsonl", {"prompt": "a", "completion": "b"}, {"prompt": "a"}, {"completion": "b"})
        found = list(read_completions(file, origin="m"))
        assert [(reason(row), row.detail) for row in found[1:] if isinstance(row, BadRow)] == [
            (BadReason.COLUMN_MISSING, "completion"),
            (BadReason.COLUMN_MISSING, "prompt"),
        ]


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data is not here")
class TestRealData:
    def test_four_models_answers_join_the_prompts_that_people_wrote(self) -> None:
        folder = SHARED / "self_instruct"
        columns = {"prompt": "instruction+instances.0.input", "id": "id", "completion": "instances.0.output"}
        people = list(read_completions(folder / "user_oriented_instructions.jsonl", columns, origin="human"))
        prompts = list(read_prompts(folder / "user_oriented_instructions.jsonl", columns))
        ids = [row.prompt.id for row in prompts if isinstance(row, PromptRow)]
        assert len(ids) == len(set(ids)) == 252
        assert [row.prompt.id for row in people if isinstance(row, CompletionRow)] == ids
        assert people[0].external_id == "user_oriented_task_0"  # type: ignore[union-attr]
        for model in MODELS:
            file = folder / f"{model}_predictions.jsonl"
            rows = list(read_completions(file, {"prompt": "instruction+input", "completion": "response"}, origin=model))
            assert [row.prompt.id for row in rows if isinstance(row, CompletionRow)] == ids
            stored = [json.loads(line)["response"] for line in file.read_text(encoding="utf-8").splitlines()]
            assert [row.completion.text for row in rows if isinstance(row, CompletionRow)] == stored

    def test_four_models_answers_by_the_prompt_they_saw(self) -> None:
        ids = set()
        for model in MODELS:
            file = SHARED / "self_instruct" / f"{model}_predictions.jsonl"
            rows = list(read_completions(file, {"prompt": "prompt", "completion": "response"}, origin=model))
            ids.add(tuple(row.prompt.id for row in rows if isinstance(row, CompletionRow)))
        assert [len(row) for row in ids] == [252]

    def test_their_columns_are_not_guessed(self) -> None:
        with pytest.raises(InputError, match="prompt, instruction"):
            read_prompts(SHARED / "self_instruct" / "davinci_predictions.jsonl")

    def test_real_flaws_are_found(self) -> None:
        """statistics.md: of 1,998 responses, six are the boolean true and 54 are empty; one instruction is empty."""
        file = SHARED / "pandalm" / "testset-v1.json"
        reasons: dict[BadReason, int] = {}
        for column in ("response1", "response2"):
            for row in read_completions(file, {"completion": column}, origin="m"):
                if isinstance(row, BadRow):
                    reasons[row.reason] = reasons.get(row.reason, 0) + 1
        assert reasons == {
            BadReason.COMPLETION_NOT_TEXT: 6,
            BadReason.COMPLETION_EMPTY: 54,
            BadReason.PROMPT_EMPTY: 2,
        }

    def test_sharegpt_and_gzip(self) -> None:
        demo = list(read_prompts(SHARED / "llama_factory" / "dpo_en_demo.json"))
        assert len(demo) == 300
        assert all(isinstance(row, PromptRow) for row in demo)
        packed = read_prompts(SHARED / "hh_rlhf" / "harmless-base-test.jsonl.gz", {"prompt": "chosen"})
        assert sum(isinstance(row, PromptRow) for row in packed) == 2312
