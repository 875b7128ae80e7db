"""The contract that holds for every bad input, and what becomes of files on the way.

A verb ends with exit code 0 and the right values, or with 2 and one line that names the file; never with a
traceback, and never with something half-written.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trigger_ml import cli
from trigger_ml.core.errors import TriggerMLError


class Product:
    """The command line in this process, and the bad inputs given to it: each as a verb and a format."""

    def __init__(self, capsys: pytest.CaptureFixture[str], root: Path) -> None:
        self._capsys, self._root = capsys, root
        self.tried: list[tuple[str, str]] = []

    def _count(self, verb: str, path: Path) -> None:
        self.tried.append((verb, "".join(path.suffixes[-1:]) or "folder"))

    def run(self, *arguments: str | Path) -> tuple[int, str]:
        """Exit code and stderr."""
        self._capsys.readouterr()
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            return int(end.code or 0), self._capsys.readouterr().err
        return 0, self._capsys.readouterr().err

    def refuses(self, *arguments: str | Path, naming: Path, absent: Path | None = None) -> str:
        """Give one bad input; the line that names it."""
        self._count(str(arguments[0]), naming)
        code, said = self.run(*arguments)
        lines = [line for line in said.splitlines() if line.strip()]
        assert (code, len(lines)) == (2, 1), f"{arguments}: exit code {code}\n{said}"
        assert lines[0].startswith("error: ")
        assert str(naming) in lines[0], f"{naming} is not named: {lines[0]}"
        self.leaves_nothing(absent)
        return lines[0]

    def refused(self, read: Callable[[], Any], naming: Path) -> str:
        """The same for a reader that verbs use deep inside."""
        self._count("a reader", naming)
        with pytest.raises(TriggerMLError) as raised:
            read()
        message = str(raised.value)
        assert raised.value.exit_code == 2
        assert str(naming) in message
        self.leaves_nothing(None)
        return message

    def leaves_nothing(self, absent: Path | None) -> None:
        """Nothing half-written, and no result."""
        assert not list(self._root.rglob(".partial-*"))
        assert absent is None or not absent.exists()


def damaged(content: bytes) -> dict[str, bytes]:
    """What becomes of a file's bytes on the way: cut off, emptied, doubled, overwritten, something else."""
    size = len(content)
    cuts = {f"cut at {part}/16": content[: size * part // 16] for part in range(1, 16)}
    return {
        **cuts,
        "without its end": content[:-1],
        "without its begin": content[1:],
        "empty": b"",
        "zeros": bytes(size),
        "zeros from the middle": content[: size // 2] + bytes(size - size // 2),
        "text": b"name: x\n",
        "an image": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "a pickle": b"\x80\x04N.",
        "HDF5 in name only": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "a zip in name only": b"PK\x03\x04" + bytes(100),
        "JSON": b"{}",
        "no UTF-8": b"\xff\xfe\x00\xd8" * 20,
    }
