"""Text files on disk, gzipped or not: UTF-8 with or without a byte order mark, checked before the first row is used."""

from __future__ import annotations

import codecs
import gzip
import io
import shlex
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from pref_argilla.errors import InputError

_CHUNK = 1 << 20
_OTHER_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Translate what the operating system and gzip raise while ``path`` is read."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} cannot be unpacked.",
            cause=f"It is no gzip file, or only a part of one ({error}).",
            next_step=f"Check it with: gzip -t {shlex.quote(str(path))}",
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read.",
            cause=f"{error.strerror or error}.",
            next_step=f"Check it with: ls -l {shlex.quote(str(path))}",
        ) from error


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where its name ends in ``.gz``, without a leading byte order mark."""
    with reading(path):
        packed = path.suffix.lower() == ".gz"
        with cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb") as stream:
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            yield stream


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The file's characters with its line ends as they are."""
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        yield text


def check_text(path: Path) -> None:
    """Read the whole file once: UTF-8 to its end and more than white space, else InputError.

    An encoding belongs to the file, not to a row: taking only the rows without accents from a Windows-1254 file would be
    worse than taking none, so it is found out before anything is kept.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    offset = lines = 0
    empty = True
    with reading(path), open_binary(path) as stream:
        start = stream.tell()
        while True:
            chunk = stream.read(_CHUNK)
            if not offset:
                _refuse_other_encoding(path, chunk)
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                position = start + offset - pending + error.start
                line = lines + error.object[: error.start].count(b"\n") + 1
                raise _not_utf8(path, error.object[error.start], position, line) from error
            empty = empty and not text.strip()
            if not chunk:
                break
            offset += len(chunk)
            lines += text.count("\n")
    if empty:
        raise empty_file(path)


def empty_file(path: Path | str) -> InputError:
    return InputError(
        f"{path} is empty.", cause="It holds no rows.", next_step="Check the file, or name the one that was meant."
    )


def _refuse_other_encoding(path: Path, head: bytes) -> None:
    for mark, encoding in _OTHER_ENCODINGS:
        if head.startswith(mark):
            raise InputError(
                f"{path} is not UTF-8.",
                cause=f"It begins with the mark of {encoding} (byte 0).",
                next_step=_convert(path, encoding),
            )


def _not_utf8(path: Path, byte: int, position: int, line: int) -> InputError:
    return InputError(
        f"{path} is not UTF-8: byte 0x{byte:02X} at position {position} (line {line}).",
        cause="It may be in Windows-1254 (Turkish) or another older encoding.",
        next_step=f"Convert it and read the new file: {_convert(path, 'WINDOWS-1254')}",
    )


def _convert(path: Path, encoding: str) -> str:
    if path.suffix.lower() == ".gz":
        target = path.with_name("utf8-" + path.name)
        return f"gzip -dc {shlex.quote(str(path))} | iconv -f {encoding} -t UTF-8 | gzip > {shlex.quote(str(target))}"
    target = path.with_name("utf8-" + path.name)
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(str(target))}"
