"""Compiling the simulator."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from trigger_ml.firmware.rtl import executable


def test_two_that_compile_at_once_do_not_write_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages work beside each other in one process: both may have to compile the simulator's library."""
    together, written = threading.Barrier(2), []

    def compiler(command: list[Any], *_: Any) -> None:
        together.wait(600)
        written.append(command[-1])
        Path(command[-1]).write_text("object")

    monkeypatch.setattr(executable, "run_program", compiler)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other, ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda pool: executable._runtime("g++", tmp_path, pool), (one, other))
    assert first == second
    assert len(set(written)) == len(written) == 2 * len(first)
    assert sorted(tmp_path.iterdir()) == sorted(first)
