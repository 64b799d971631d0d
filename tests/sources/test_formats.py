"""The same rows out of every format, and what is wrong with a file said with its place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pref_argilla.errors import InputError
from pref_argilla.sources import BadReason, BadRow, PromptRow, read_prompts

TEXTS = [
    "How?",
    "Nasıl yapılır, İstanbul?",
    "two\nlines\u2028and\x85more",
    'a "quoted", one',
    "x" * 300_000,
    "👩🏽‍💻 العربية",
]


def jsonl(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def delimited(rows: list[dict[str, object]], delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def write_parquet(path: Path, rows: list[dict[str, object]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)


def write_saved(path: Path, rows: list[dict[str, object]]) -> None:
    import datasets

    datasets.Dataset.from_list(rows).save_to_disk(str(path))


WRITERS: dict[str, Callable[[Path, list[dict[str, object]]], object]] = {
    "rows.jsonl": lambda path, rows: path.write_bytes(jsonl(rows)),
    "bom.JSONL": lambda path, rows: path.write_bytes(b"\xef\xbb\xbf" + jsonl(rows)),
    "rows.ndjson": lambda path, rows: path.write_bytes(b"\n" + jsonl(rows).replace(b"\n", b"\r\n")),
    "rows.jsonl.gz": lambda path, rows: path.write_bytes(gzip.compress(jsonl(rows))),
    "list.json": lambda path, rows: path.write_bytes(json.dumps(rows, indent=1).encode()),
    "bom.json": lambda path, rows: path.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode()),
    "lines.json": lambda path, rows: path.write_bytes(jsonl(rows)),
    "rows.csv": lambda path, rows: path.write_bytes(delimited(rows, ",")),
    "bom.csv": lambda path, rows: path.write_bytes(b"\xef\xbb\xbf" + delimited(rows, ",")),
    "semicolons.csv": lambda path, rows: path.write_bytes(delimited(rows, ";")),
    "rows.tsv": lambda path, rows: path.write_bytes(delimited(rows, "\t")),
    "rows.csv.gz": lambda path, rows: path.write_bytes(gzip.compress(delimited(rows, ","))),
    "rows.parquet": write_parquet,
    "saved": write_saved,
}


def prompts(path: Path | str, **columns: str) -> list[str]:
    rows = list(read_prompts(path, columns))
    assert not [str(row) for row in rows if isinstance(row, BadRow)]
    return [row.prompt.text for row in rows if isinstance(row, PromptRow)]


def bad(path: Path, **columns: str) -> list[BadRow]:
    return [row for row in read_prompts(path, columns) if isinstance(row, BadRow)]


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_texts(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, [{"prompt": text, "topic": "t"} for text in TEXTS])
    assert prompts(tmp_path / name) == TEXTS


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), min_size=1))
@settings(deadline=None, max_examples=50)
def test_any_text_comes_out_of_text_formats_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    texts = [f"“{text}" for text in texts]  # never only white space, never a list of messages
    folder = tmp_path_factory.mktemp("texts")
    for name in ("rows.jsonl", "list.json", "rows.csv", "rows.tsv"):
        WRITERS[name](folder / name, [{"prompt": text, "topic": ""} for text in texts])
        assert prompts(folder / name) == texts


def test_bad_lines_do_not_stop_the_good_ones(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    lines = [
        '{"prompt": "one"}',
        "",
        '{"prompt": "tw',
        "[1, 2]",
        '"text"',
        '{"prompt": "six"}',
        "[" * 100_000,
        "9" * 5000,
    ]
    file.write_text("\n".join([*lines, '{"prompt": "nine"}']), encoding="utf-8")
    rows = list(read_prompts(file))
    assert [row.prompt.text for row in rows if isinstance(row, PromptRow)] == ["one", "six", "nine"]
    found = [(row.where.number, row.reason) for row in rows if isinstance(row, BadRow)]
    assert found == [
        (3, BadReason.NOT_JSON),
        (4, BadReason.NOT_AN_OBJECT),
        (5, BadReason.NOT_AN_OBJECT),
        (7, BadReason.NOT_JSON),
        (8, BadReason.NOT_JSON),
    ]
    assert str(next(row for row in rows if isinstance(row, BadRow))).startswith(
        f"{file}, line 3: not JSON: Unterminated string at column 12"
    )


def test_a_list_is_read_up_to_its_first_mistake(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('[{"prompt": "one"},\n {"prompt": "two"}, 7,\n {"prompt": three}, {"prompt": "four"}]')
    rows = list(read_prompts(file))
    assert [row.prompt.text for row in rows if isinstance(row, PromptRow)] == ["one", "two"]
    numbers = [(row.where.number, row.reason) for row in rows if isinstance(row, BadRow)]
    assert numbers == [(3, BadReason.NOT_AN_OBJECT), (4, BadReason.NOT_JSON)]
    assert "line 3, column 13; the rest of the file was not read" in str(rows[-1])


@pytest.mark.parametrize("end", ["", ",", ",]", "] rubbish", "]]"])
def test_a_list_that_does_not_end_well_says_so(end: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"prompt": "one"}' + end)
    rows = list(read_prompts(tmp_path / "rows.json"))
    assert isinstance(rows[0], PromptRow)
    assert [row.reason for row in rows[1:] if isinstance(row, BadRow)] == [BadReason.NOT_JSON]


@pytest.mark.parametrize("size", [(1 << 20) - 30, (1 << 20) - 20, (1 << 20) - 12, 1 << 20, 3 << 20])
def test_a_list_is_read_across_the_ends_of_chunks(size: int, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": "a" * size, "n": 12345},
        {"prompt": "b", "n": 67890},
        {"prompt": "c" * size},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=2))
    assert prompts(tmp_path / "rows.json") == [row["prompt"] for row in rows]


def test_a_list_counts_lines_across_chunks(tmp_path: Path) -> None:
    good = [json.dumps({"prompt": "x" * 1000}) for _ in range(3000)]
    (tmp_path / "rows.json").write_text("[\n" + ",\n".join([*good, '{"prompt": }']) + "\n]")
    assert "line 3002, column 12" in str(bad(tmp_path / "rows.json")[0])


def test_a_json_file_with_one_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('{\n "data": []\n}')
    with pytest.raises(InputError, match="not a list of objects"):
        read_prompts(tmp_path / "rows.json")


def test_csv_rows_of_the_wrong_width_and_open_quotes(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('prompt,topic\none,a\ntwo\nthree,b,c\n\n"four\nlines",d\n"fi"ve,e\nsix,f\n"seven,g\neight,h\n')
    rows = list(read_prompts(file))
    assert [row.prompt.text for row in rows if isinstance(row, PromptRow)] == ["one", "four\nlines", "six"]
    numbers = [(row.where.number, row.reason) for row in rows if isinstance(row, BadRow)]
    assert numbers == [(line, BadReason.WRONG_FIELD_COUNT) for line in (3, 4, 8, 10)]


def test_csv_with_two_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("prompt,prompt\na,b\n")
    with pytest.raises(InputError, match="two columns called 'prompt'"):
        read_prompts(tmp_path / "rows.csv")


def test_csv_with_one_column_needs_no_comma(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text('prompt\nhow\n"a, b; c"\n')
    assert prompts(tmp_path / "rows.csv") == ["how", "a, b; c"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", b""),
        ("rows.jsonl", b"\xef\xbb\xbf \n\n"),
        ("rows.json", b"[]"),
        ("rows.json", b" "),
        ("rows.csv", b"prompt,topic\n"),
        ("rows.tsv", b""),
        ("rows.parquet", b""),
        ("rows.jsonl.gz", gzip.compress(b"")),
    ],
)
def test_an_empty_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="is empty"):
        read_prompts(tmp_path / name)


def test_an_empty_table_with_columns(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "rows.parquet")
    with pytest.raises(InputError, match="is empty"):
        read_prompts(tmp_path / "rows.parquet")


def test_no_line_is_json(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("How?\nWhy?\n")
    with pytest.raises(InputError, match="no row that can be read") as caught:
        read_prompts(tmp_path / "rows.jsonl")
    assert "line 1" in caught.value.cause


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.jsonl.gz"])
def test_another_encoding_is_told_by_its_place(name: str, tmp_path: Path) -> None:
    head = {"rows.csv": b"prompt\none\n", "rows.json": b'[{"prompt": "one"},\n'}.get(name, b'{"prompt": "one"}\n')
    body = {"rows.csv": "Nasıl", "rows.json": '{"prompt": "Nasıl"}]'}.get(name, '{"prompt": "Nasıl"}').encode("cp1254")
    position = len(head) + body.index(b"\xfd")
    content = head + body + b"\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    line = head.count(b"\n") + 1
    with pytest.raises(InputError, match=rf"0xFD at position {position} \(line {line}\)") as caught:
        read_prompts(tmp_path / name)
    assert "iconv -f WINDOWS-1254" in caught.value.next_step


def test_the_place_is_right_beyond_the_first_chunk_and_after_a_mark(tmp_path: Path) -> None:
    head = b"\xef\xbb\xbf" + b'{"prompt": "%s"}\n' % ("ş".encode() * 700_000)
    (tmp_path / "rows.jsonl").write_bytes(head + b'{"prompt": "\xfd"}\n')
    with pytest.raises(InputError, match=rf"position {len(head) + 12} \(line 2\)"):
        read_prompts(tmp_path / "rows.jsonl")


def test_a_character_cut_off_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"prompt": "one"}\n\xc4')
    with pytest.raises(InputError, match=r"0xC4 at position 18 \(line 2\)"):
        read_prompts(tmp_path / "rows.jsonl")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf_16_is_named(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes("prompt\nhow\n".encode(encoding))
    with pytest.raises(InputError, match="is not UTF-8") as caught:
        read_prompts(tmp_path / "rows.csv")
    assert f"iconv -f {encoding.upper()}" in caught.value.next_step


def test_the_advised_command_helps(tmp_path: Path) -> None:
    file = tmp_path / "two words.csv"
    file.write_bytes('prompt\n"Nasıl, ğüşöçİ?"\n'.encode("cp1254"))
    with pytest.raises(InputError) as caught:
        read_prompts(file)
    subprocess.run(caught.value.next_step.split(": ", 1)[1], shell=True, check=True)
    assert prompts(tmp_path / "utf8-two words.csv") == ["Nasıl, ğüşöçİ?"]


def test_a_gzip_file_that_is_cut_off_or_none(tmp_path: Path) -> None:
    packed = gzip.compress(jsonl([{"prompt": str(number)} for number in range(1000)]))
    for content in (packed[: len(packed) // 2], b"not gzip at all"):
        (tmp_path / "rows.jsonl.gz").write_bytes(content)
        with pytest.raises(InputError, match="cannot be unpacked"):
            read_prompts(tmp_path / "rows.jsonl.gz")


@pytest.mark.parametrize("content", [b"PAR1 and then nothing", b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_damaged_parquet_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.parquet"):
        read_prompts(tmp_path / "rows.parquet")


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"one", b"t\xffwo", b"three"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": texts}), tmp_path / "rows.parquet")
    rows = list(read_prompts(tmp_path / "rows.parquet"))
    assert [row.prompt.text for row in rows if isinstance(row, PromptRow)] == ["one", "three"]
    assert [(row.where.number, row.reason) for row in rows if isinstance(row, BadRow)] == [
        (2, BadReason.BAD_CHARACTERS)
    ]


def test_nested_parquet(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "Hm"},
    ]
    write_parquet(tmp_path / "rows.parquet", [{"messages": turns, "meta": {"ids": [7, 8]}}])
    (row,) = read_prompts(tmp_path / "rows.parquet", {"id": "meta.ids.1"})
    assert isinstance(row, PromptRow)
    assert [message.content for message in row.prompt.messages] == ["Hi", "Ho", "Hm"]
    assert row.external_id == "8"


def test_missing_unknown_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "rows.docx").write_text("x")
    (tmp_path / "bare").write_text("x")
    cases = {
        tmp_path / "none.jsonl": "does not exist",
        tmp_path / "none": "does not exist",
        tmp_path / "rows.docx": "no known format",
        tmp_path / "bare": "no known format",
        Path("/dev/null"): "no regular file",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=message) as caught:
            read_prompts(path)
        assert caught.value.next_step


def test_a_folder_of_files_of_one_format(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-1.jsonl").write_bytes(jsonl([{"prompt": "b"}]))
    (tmp_path / "data" / "train-0.jsonl").write_bytes(jsonl([{"prompt": "a"}]))
    (tmp_path / "README.md").write_text("# Data")
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.jsonl").write_text("rubbish")
    assert prompts(tmp_path) == ["a", "b"]


def test_folders_without_data_or_with_two_formats(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no data"):
        read_prompts(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(jsonl([{"prompt": "a"}]))
    (tmp_path / "a.csv").write_text("prompt\na\n")
    with pytest.raises(InputError, match="different formats") as caught:
        read_prompts(tmp_path)
    assert "a.csv, a.jsonl" in caught.value.cause


def test_all_splits_of_a_saved_dict_or_one(tmp_path: Path) -> None:
    import datasets

    parts = {"train": ["a", "b"], "test": ["c"]}
    saved = datasets.DatasetDict({name: datasets.Dataset.from_dict({"prompt": texts}) for name, texts in parts.items()})
    saved.save_to_disk(str(tmp_path / "saved"))
    rows = list(read_prompts(tmp_path / "saved"))
    assert [row.prompt.text for row in rows if isinstance(row, PromptRow)] == ["a", "b", "c"]
    assert str(rows[2].where) == f"{tmp_path / 'saved'}[test], row 1"
    assert [str(row.where) for row in read_prompts(tmp_path / "saved", split="test")] == [str(rows[2].where)]
    assert prompts(tmp_path / "saved" / "train") == ["a", "b"]
    with pytest.raises(InputError, match="no split 'dev'"):
        read_prompts(tmp_path / "saved", split="dev")


def test_a_column_of_images_is_not_decoded(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "prompt": datasets.Value("string")})
    rows: Any = {"image": [{"bytes": b"no image", "path": None}], "prompt": ["What is this?"]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "saved"))
    assert prompts(tmp_path / "saved") == ["What is this?"]


@pytest.mark.parametrize("file", ["state.json", "dataset_info.json", "data-00000-of-00001.arrow"])
def test_a_saved_folder_that_is_damaged(file: str, tmp_path: Path) -> None:
    write_saved(tmp_path / "saved", [{"prompt": "a"}])
    (tmp_path / "saved" / file).write_text("rubbish")
    with pytest.raises(InputError, match="cannot be loaded"):
        read_prompts(tmp_path / "saved")


@pytest.mark.slow
def test_a_hub_name_without_the_hub(tmp_path: Path) -> None:
    """In a process of its own: whether the Hub may be asked is settled when its client is first imported."""
    script = """
from pref_argilla.errors import InputError
from pref_argilla.sources import read_prompts
try:
    read_prompts("someone/prompts")
except InputError as error:
    print(error)
"""
    environment = {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no file or folder 'someone/prompts' here" in done.stdout
    assert "The Hub cannot be reached" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.parquet"])
def test_many_rows_take_little_memory(name: str, tmp_path: Path) -> None:
    """200,000 rows of 600 characters: all at once they would take over 250 MB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / name
    text = "word " * 120
    if name == "rows.parquet":
        pq.write_table(pa.table({"prompt": [f"{number} {text}" for number in range(200_000)]}), file)
    else:
        with file.open("w") as out:
            lines = (f'{{"prompt": "{number} {text}"}}' for number in range(200_000))
            if name == "rows.csv":
                out.write("prompt\n")
                out.writelines(f"{number} {text}\n" for number in range(200_000))
            elif name == "rows.json":
                out.write("[\n")
                out.writelines(line + (",\n" if number < 199_999 else "\n]") for number, line in enumerate(lines))
            else:
                out.writelines(line + "\n" for line in lines)
    script = """
import resource, sys
import pyarrow.parquet
from pref_argilla.sources import read_prompts
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in read_prompts(sys.argv[1]))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", script, str(file)], env=environment, capture_output=True, check=True)
    count, megabytes = map(int, done.stdout.split())
    assert count == 200_000
    assert megabytes < 150
