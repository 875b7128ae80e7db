"""How far an emulation is: events, their rate, and the time that is left."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trigger_ml.pipeline.crew import FileState
from trigger_ml.pipeline.parts import PartFacts

__all__ = ["Watch"]

EVERY = 60.0
"""Seconds between two lines where there is no terminal."""


class Watch:
    """Tells on the terminal; into a log, a line each minute.

    The time that is left is that of the bytes that are left: how many events a file holds is known when it
    was opened, and of some kinds only at their end.

    Parameters
    ----------
    files : sequence of FileState
    """

    def __init__(self, files: Sequence[FileState]) -> None:
        self._console = Console(stderr=True)
        self._sizes = {id(f): f.path.stat().st_size if f.path.is_file() else 0 for f in files}
        self._told = dict.fromkeys(self._sizes, 0.0)
        self._start = self._last = time.monotonic()
        self._events = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        for file in files:
            for part in file.finished:
                self._count(file, part)
        self._before = sum(self._told.values())
        self._task = self._progress.add_task(
            self._words, total=sum(self._sizes.values()), completed=int(self._before), rate=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def _words(self) -> str:
        return f"{self._events:,} events"

    def _count(self, file: FileState, part: PartFacts) -> None:
        rows = (file.facts or {}).get("rows")
        if rows:
            size = self._sizes[id(file)]
            self._told[id(file)] = min(size, self._told[id(file)] + size * part.read / rows)
        elif file.complete:
            self._told[id(file)] = self._sizes[id(file)]

    def advance(self, file: FileState, part: PartFacts) -> None:
        """Count a part that was finished."""
        self._events += part.events
        self._count(file, part)
        self._show()

    def end(self, file: FileState) -> None:
        """Nothing more will come of a file."""
        self._told[id(file)] = self._sizes[id(file)]
        self._show()

    def _show(self) -> None:
        now, done = time.monotonic(), sum(self._told.values())
        rate = f"{self._events / max(now - self._start, 1e-3):,.0f} events/s"
        self._progress.update(self._task, description=self._words, completed=done, rate=rate)
        if not self._console.is_terminal and now - self._last >= EVERY:
            self._last = now
            total = max(1, sum(self._sizes.values()))
            left = (now - self._start) * (total - done) / max(done - self._before, 1)
            self._console.print(
                f"{self._words}, {rate}, {100 * done / total:.0f} % of the files, about {left:.0f} s left",
                highlight=False,
            )
