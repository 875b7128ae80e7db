"""Emulations in processes of their own, to be killed, and to die of a file."""

import os
import signal
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from trigger_ml.pipeline import crew
from trigger_ml.pipeline.emulate import emulate_files
from trigger_ml.pipeline.pieces import Worker

serve = crew._serve


def _emulate(network: Path, files: list[Path], output: Path, workers: int) -> None:
    emulate_files(network, files, output, workers=workers, part=9)


def killed(network: Path, files: list[Path], output: Path, workers: int, parts: int, wait: float) -> bool:
    """Whether an emulation was killed, so many seconds after so many parts of it were there."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["trigger_ml.pipeline.emulate"])
    process = context.Process(target=_emulate, args=(network, files, output, workers))
    process.start()
    while process.is_alive() and len(list(output.parent.glob("*.parts/*/0*.npz"))) < parts:
        process.join(0.005)
    process.join(wait)
    if process.is_alive():
        # its processes notice by themselves that nobody gives them work
        process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def serve_and_die(connection: Any, job: Any) -> None:
    """As the processes of an emulation, but the second file ends them."""
    do = Worker.do

    def dying(self: Worker, task: Any, stopped: Any) -> Iterator[Any]:
        if task.file == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        yield from do(self, task, stopped)

    Worker.do = dying  # type: ignore[method-assign]
    serve(connection, job)
