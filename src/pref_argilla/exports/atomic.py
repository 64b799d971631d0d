"""A folder that is replaced as a whole: readers see the old one or the new one, whenever the writer is killed.

The new folder is written beside the old one under a temporary name, flushed to the disk, and exchanged with it in one
system call (``renameat2`` with ``RENAME_EXCHANGE``). A file system that cannot exchange gets two renames; a run killed
between them is put right by the next one, which finds the old folder under its temporary name.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pref_argilla.errors import ExportError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANNOT_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})
_NEW, _OLD = ".new", ".old"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Translate what the operating system raises while the export ``out`` is written."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ExportError(
                f"The disk took no more of the export {out}.",
                cause=f"{error.strerror or error}. What was there before is unchanged.",
                next_step=f"Make room (see: df -h {shlex.quote(str(out.parent))}) and export again, or name another --out.",
            ) from error
        raise ExportError(
            f"The export {out} cannot be written.",
            cause=f"{error.strerror or error}. What was there before is unchanged.",
            next_step="Name a folder with --out that you may write to.",
        ) from error


@contextmanager
def replaced_folder(
    out: Path, may_replace: Callable[[Path], None], exchange: Callable[[Path, Path], bool] | None = None
) -> Iterator[Path]:
    """Yield a new folder to fill; when the block ends well, it takes the place of ``out``, else it is removed.

    ``may_replace`` is asked about an ``out`` that exists, before and after the block, and raises ExportError where it
    holds what must not be lost. ``exchange`` swaps two folders, or answers False where the file system cannot.
    """
    exchange = exchange or exchange_folders
    out = out.absolute()
    with writing(out):
        # The folder behind a link is replaced, not the link.
        out = out.resolve()
        out.parent.mkdir(parents=True, exist_ok=True)
        _finish_killed_runs(out)
        may_replace(out)
        new, lock = _locked_folder(out)
    try:
        yield new
        with writing(out):
            flush_tree(new)
            may_replace(out)
            _take_place(new, out, exchange)
            _flush(out.parent)
    finally:
        # After the exchange, this is the old export.
        shutil.rmtree(new, ignore_errors=True)
        os.close(lock)


def exchange_folders(one: Path, other: Path) -> bool:
    """Swap the names of two folders in one step. False: this system or file system has no such step."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def flush_tree(folder: Path) -> None:
    """Everything under ``folder`` onto the disk, the folders after what they hold."""
    for directory, _, names in os.walk(folder, topdown=False):
        for name in names:
            _flush(Path(directory) / name)
        _flush(Path(directory))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_place(new: Path, out: Path, exchange: Callable[[Path, Path], bool]) -> None:
    if not out.exists() or not any(out.iterdir()):
        new.rename(out)
    elif not exchange(new, out):
        old = new.with_suffix(_OLD)
        out.rename(old)
        try:
            new.rename(out)
        except OSError:
            old.rename(out)
            raise
        _flush(out.parent)
        shutil.rmtree(old, ignore_errors=True)


def _prefix(out: Path) -> str:
    return f".{out.name}.pref-argilla-"


def _locked_folder(out: Path) -> tuple[Path, int]:
    """A new folder beside ``out`` and the descriptor whose lock says that its writer is alive."""
    while True:
        new = out.with_name(f"{_prefix(out)}{secrets.token_hex(4)}{_NEW}")
        new.mkdir()
        lock = _lock(new)
        # Between mkdir and the lock, another run may have taken it for a leftover.
        if lock is not None and new.is_dir():
            return new, lock
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _finish_killed_runs(out: Path) -> None:
    """Put back what a run killed between two renames moved away, and remove what killed runs left."""
    leftovers = [path for path in out.parent.iterdir() if path.name.startswith(_prefix(out))]
    for path in leftovers:
        if path.suffix == _OLD:
            if out.exists():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.rename(out)
    for path in leftovers:
        if path.suffix == _NEW:
            lock = _lock(path)
            if lock is not None:
                with suppress(OSError):
                    shutil.rmtree(path)
                os.close(lock)
