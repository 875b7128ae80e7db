"""The boundary between the user and what libraries and the system raise; text of every kind, everywhere."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trigger_ml import cli
from trigger_ml.core.errors import InputError, VerificationError
from trigger_ml.pipeline import execute as pipeline
from trigger_ml.pipeline.stage import Stage
from trigger_ml.pipeline.workspace import Workspace


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of the command line, run in this process."""
    try:
        cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().err
    return 0, capsys.readouterr().err


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "x.yaml"
    path.write_text("name: x", encoding="utf-8")
    return str(path)


def foreign(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pipeline, "execute", fail)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (InputError("a.h5", "is empty", "Remove it"), 2, "error: a.h5: is empty. Remove it."),
        (VerificationError("onnx", "differs", "Look"), 1, "error: onnx: differs. Look."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/b.h5"), 2, "/data/b.h5: No space left"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "c"), 2, "c: Read-only file system"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "d/e"), 2, "d/e: Not a directory"),
        (MemoryError("Unable to allocate 9 TiB"), 2, "Unable to allocate 9 TiB"),
        (RecursionError("too deep"), 2, "RecursionError: too deep"),
        (ValueError("[red]x[/blue] [0, 1]"), 2, "ValueError: [red]x[/blue] [0, 1]"),
        (KeyError(), 2, "KeyError"),
    ],
)
def test_every_error_is_one_line_with_its_exit_code(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    error: Exception,
    code: int,
    expected: str,
) -> None:
    foreign(monkeypatch, error)
    ended, said = run(capsys, "train", config)
    assert ended == code
    assert expected in said
    assert said.count("\n") == 1


def test_a_librarys_error_names_the_stage_and_the_library(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str
) -> None:
    def work(stage: Stage, workspace: Workspace) -> None:
        json.loads("{")

    monkeypatch.setattr(Stage, "run", work)
    ended, said = run(capsys, "simulate", config, "--run", str(tmp_path / "run"))
    assert ended == 2
    assert "stage simulate: json ends with JSONDecodeError" in said


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback_wherever_it_stands(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, config: str, place: int
) -> None:
    foreign(monkeypatch, ZeroDivisionError("one"))
    arguments = ["train", config]
    arguments.insert(place, "--debug")
    ended, said = run(capsys, *arguments)
    assert ended == 2
    assert "Traceback" in said
    assert "ZeroDivisionError: one" in said


def test_wrong_arguments_are_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train")[0] == 2
    assert run(capsys, "tran", "x")[0] == 2


def test_brackets_in_paths_are_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("[bold]x.yaml", "[/red].yaml", "a[0].yaml", ":smile:.yaml"):
        ended, said = run(capsys, "train", str(tmp_path / name))
        assert ended == 2
        assert str(tmp_path / name) in said


def test_a_configuration_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("name: x\nevents: {camera: 'Kamera Nº 1 – groß'}\n".encode())
    code = (
        "import sys; from pathlib import Path; from trigger_ml.core.config.experiment import load_yaml;"
        "print(ascii(load_yaml(Path(sys.argv[1]))['events']['camera']))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code, str(path)],
        env={**os.environ, "LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ascii("Kamera Nº 1 – groß")


def test_output_that_the_terminal_cannot_show_loses_no_run(tmp_path: Path) -> None:
    code = "from trigger_ml import cli; cli._any_text(); cli._say('σ → [x] \\udce4'); print('end')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"?", b"?", b"[x]", b"?", b"end"]


def test_output_that_cannot_be_written_is_an_error_of_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trigger_ml", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr
