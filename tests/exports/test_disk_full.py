"""A disk that takes no more, by the operating system's own means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exports.pair_rows import content, many, summarise
from pref_argilla.exports import write_export

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])}

EXPORT = """
import resource, signal, sys
from pathlib import Path
from exports.pair_rows import many, summarise
from pref_argilla.errors import ExportError
from pref_argilla.exports import write_export
import datasets, pyarrow.parquet, pyarrow.dataset
out, format_name, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rows = many(20_000, "a row of words that do not compress so well")
try:
    write_export(rows, out, format_name, summarise)
except ExportError as error:
    print(error)
"""
FORMATS = ["trl-dpo", "jsonl", "parquet", "dataset"]


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_that_may_not_grow(format_name: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_export(many(5, "old"), out, format_name, summarise)
    before = content(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXPORT, str(out), format_name, "40000"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "The disk took no more of the export" in done.stdout
    assert "df -h" in done.stdout
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_file_system_that_is_full(format_name: str, tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=256k tmpfs "$1" && shift && exec "$@"'
    namespace = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", str(mount)]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small file system here")
    done = subprocess.run(
        [*namespace, sys.executable, "-W", "error", "-c", EXPORT, str(mount / "out"), format_name, "0"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "The disk took no more of the export" in done.stdout
    assert "No space left on device" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    from pref_argilla.errors import ExportError

    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="cannot be written"):
            write_export(many(3), tmp_path / "out", "jsonl", summarise)
    finally:
        tmp_path.chmod(0o700)
