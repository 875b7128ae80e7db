"""Who does what of an emulation: one process or several, which may die of a file and harm no other."""

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from trigger_ml.core.errors import InputError, TriggerMLError
from trigger_ml.pipeline.decisions import Decider
from trigger_ml.pipeline.parts import FileParts, PartFacts
from trigger_ml.pipeline.pieces import Failed, Finished, Job, Message, Task, Worker

__all__ = ["FileState", "Schedule", "work"]


@dataclass(eq=False)
class FileState:
    """How far a file is.

    Parameters
    ----------
    path : Path
    parts : FileParts
    facts : dict or None
        See `trigger_ml.pipeline.pieces.Worker`; None before it was opened.
    done : dict of int to PartFacts
    pending : collections.deque of int, or None
        Parts that nobody has begun; None before the file was opened.
    error : TriggerMLError or None
        Why it cannot be emulated.
    begun : bool
        Whether some process was told to open it.
    """

    path: Path
    parts: FileParts
    facts: dict[str, Any] | None = None
    done: dict[int, PartFacts] = field(default_factory=dict)
    pending: deque[int] | None = None
    error: TriggerMLError | None = None
    begun: bool = False

    def find(self) -> None:
        """Take over what an earlier emulation has finished."""
        self.facts, self.done = self.parts.facts(), self.parts.finished()
        self._plan()

    def _plan(self) -> None:
        if self.facts is not None and self.facts["pieces"] is not None:
            self.pending = deque(i for i in range(self.facts["pieces"]) if i not in self.done)
            self.begun = True

    def note(self, message: Message) -> None:
        """Keep what a process says of this file."""
        if isinstance(message, Failed):
            self.error, self.pending = message.error, deque()
        elif isinstance(message, Finished):
            self.done[message.part] = message.facts
        elif self.error is None:
            self.facts = message.facts
            self._plan()

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return self.facts is not None and self.facts["pieces"] == len(self.done)

    @property
    def finished(self) -> list[PartFacts]:
        """Facts of the parts in their order."""
        return [self.done[number] for number in sorted(self.done)]


@dataclass(eq=False)
class Schedule:
    """What is left to do, and who does it best: who has a file open goes on with it.

    Parameters
    ----------
    files : sequence of FileState
    """

    files: Sequence[FileState]
    stopped: bool = False
    _last: dict[int, int] = field(default_factory=dict)

    def next(self, worker: int) -> Task | None:
        """The next task of a worker; None if there is none for it now."""
        if self.stopped:
            return None
        number = self._last.get(worker)
        if number is None or not self.files[number].pending:
            waiting = [i for i, file in enumerate(self.files) if not file.begun and file.error is None]
            divided = {i: len(file.pending) for i, file in enumerate(self.files) if file.pending}
            number = waiting[0] if waiting else max(divided, key=divided.__getitem__, default=None)
        if number is None:
            return None
        self._last[worker] = number
        file = self.files[number]
        if file.pending:
            return Task(number, file.pending.popleft())
        file.begun = True
        return Task(number, None, frozenset(file.done))


def work(job: Job, schedule: Schedule, workers: int, decider: Decider) -> Iterator[Message]:
    """Do all that a schedule has; its files know what was done before a message is given out.

    Parameters
    ----------
    job : Job
    schedule : Schedule
        Nothing more is begun when its ``stopped`` is set.
    workers : int
        Processes; with one, the work is done in this one.
    decider : Decider
        That of this process.
    """
    messages = _here(job, schedule, decider) if workers == 1 else _Crew(job, schedule, workers).messages()
    for message in messages:
        schedule.files[message.file].note(message)
        yield message


def _here(job: Job, schedule: Schedule, decider: Decider) -> Iterator[Message]:
    worker = Worker(job, decider)
    try:
        while (task := schedule.next(0)) is not None:
            yield from worker.do(task, lambda: schedule.stopped)
    finally:
        worker.close()


def _serve(connection: Connection, job: Job) -> None:
    """The work of a process: tasks come through a connection, whose end ends it."""
    # the process that gives out the work decides what becomes of it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(job)
    with suppress(EOFError, OSError):
        while (task := connection.recv()) is not None:
            for message in worker.do(task, connection.poll):
                connection.send(message)
            connection.send(None)
    worker.close()


@dataclass(eq=False)
class _Process:
    process: Any
    connection: Connection
    task: Task | None = None


class _Crew:
    """Processes that are given tasks until there are none."""

    def __init__(self, job: Job, schedule: Schedule, workers: int) -> None:
        self._job, self._schedule, self._workers = job, schedule, workers
        # libraries that work in this process do not survive a fork, those that a server imported do
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(
            ["trigger_ml.pipeline.pieces", "trigger_ml.firmware.native.library"]
        )
        self._processes: dict[int, _Process] = {}

    def _start(self) -> _Process:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(there, self._job), daemon=True)
        process.start()
        there.close()
        return _Process(process, here)

    def messages(self) -> Iterator[Message]:
        try:
            while self._give():
                by_connection = {p.connection: n for n, p in self._processes.items() if p.task is not None}
                for ready in wait(list(by_connection)):
                    yield from self._heard(by_connection[ready])  # type: ignore[index]
        finally:
            for member in self._processes.values():
                with suppress(OSError):
                    member.connection.send(None)
            for member in self._processes.values():
                # a process ends its part, and may be telling of it
                while member.process.is_alive():
                    with suppress(EOFError, OSError):
                        while member.connection.poll(0.05):
                            member.connection.recv()
                    member.process.join(0.05)
                member.connection.close()

    def _give(self) -> bool:
        """Give tasks to those who have none; whether anybody works."""
        for number in range(self._workers):
            member = self._processes.get(number)
            if member is not None and member.task is not None:
                continue
            task = self._schedule.next(number)
            if task is None:
                continue
            if member is None:
                member = self._processes[number] = self._start()
            member.task = task
            with suppress(OSError):
                # one that has died is heard of below
                member.connection.send(task)
        return any(member.task is not None for member in self._processes.values())

    def _heard(self, number: int) -> Iterator[Message]:
        member = self._processes[number]
        assert member.task is not None
        try:
            message = member.connection.recv()
        except (EOFError, OSError):
            member.process.join()
            del self._processes[number]
            path = self._job.files[member.task.file][0]
            code = member.process.exitcode
            ended = f"signal {-code}" if code is not None and code < 0 else f"exit status {code}"
            why = f"the process that read it ended with {ended}"
            remedy = "Give a whole file; if it is, a machine with more memory, or report it as a defect"
            yield Failed(member.task.file, InputError(str(path), why, remedy))
            return
        if message is None:
            member.task = None
        else:
            yield message
