"""When things happen: the streaming pipeline's handshakes, clock by clock, without any data.

The model follows the generated modules register by register, so that the initiation interval, the
latency and the sizes of the skip FIFOs are known before any RTL exists.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import override

from trigger_ml.firmware.rtl.dataflow import (
    FifoModule,
    FlattenModule,
    InputModule,
    Module,
    Pipeline,
    PointModule,
    SumModule,
    WindowModule,
)

__all__ = ["Timing", "buffer_sizes", "timing", "with_fifos"]


@dataclass(frozen=True)
class Timing:
    """Clocks, with an input that is never late and an output that is always taken.

    Parameters
    ----------
    interval : int
        Between the results of consecutive frames (initiation interval).
    latency : int
        From the first beat of a frame, the pipeline being empty, to its result.
    sustained_latency : int
        The same for a frame that follows others without pause.
    """

    interval: int
    latency: int
    sustained_latency: int


class _Model:
    """Handshake state of one module: ``valid`` is its output's, ``ready`` its input's."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.valid = False
        self.taken = False  # whether the output beat leaves in this clock
        self.sources: list[_Model] = []
        self.readers: list[_Model] = []

    @property
    def enabled(self) -> bool:
        """Clock enable of everything between the input buffer and the output register."""
        return not self.valid or self.taken

    def ready(self, source: "_Model") -> bool:
        return self.enabled

    def arrived(self) -> bool:
        """Whether a beat enters in this clock."""
        return bool(self.sources) and all(s.taken for s in self.sources)

    def clock(self, arrived: bool) -> None:
        raise NotImplementedError


class _Input(_Model):
    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.valid = True

    def clock(self, arrived: bool) -> None:
        pass


class _Point(_Model):
    module: PointModule

    def __init__(self, module: PointModule) -> None:
        super().__init__(module)
        self.chain = [False] * module.depth
        self.beat = 0

    @property
    def last(self) -> bool:
        return self.beat == self.module.output.beats - 1

    def ready(self, source: _Model) -> bool:
        others = self.enabled and all(s.valid for s in self.sources if s is not source)
        held = any(self.sources[i] is source for i in self.module.held)
        return others and (self.last or not held)

    @override
    def arrived(self) -> bool:
        return all(s.taken for i, s in enumerate(self.sources) if i not in self.module.held)

    def clock(self, arrived: bool) -> None:
        if arrived and self.module.held:
            self.beat = 0 if self.last else self.beat + 1
        if self.enabled:
            self.chain = [arrived, *self.chain[:-1]]
            self.valid = self.chain[-1]


class _Fifo(_Model):
    module: FifoModule

    def __init__(self, module: FifoModule) -> None:
        super().__init__(module)
        self.count = 0
        self.most = 0

    def ready(self, source: _Model) -> bool:
        return self.count < self.module.capacity

    def clock(self, arrived: bool) -> None:
        if self.module.block:
            # the memory is read into its output register
            read = self.count > 0 and self.enabled
            self.count += int(arrived) - int(read)
            self.valid = read or (self.valid and not self.taken)
        else:
            self.count += int(arrived) - int(self.taken)
            self.valid = self.count > 0
        self.most = max(self.most, self.count)


class _Sum(_Model):
    module: SumModule | FlattenModule

    def __init__(self, module: SumModule | FlattenModule) -> None:
        super().__init__(module)
        self.chain = [False] * (module.depth if isinstance(module, SumModule) else 0)
        self.beat = 0

    def clock(self, arrived: bool) -> None:
        if not self.enabled:
            return
        summed = self.chain[-1] if self.chain else arrived
        self.chain = [arrived, *self.chain[:-1]] if self.chain else []
        self.valid = summed and self.beat == self.module.source.beats - 1
        if summed:
            self.beat = 0 if self.valid else self.beat + 1


class _Window(_Model):
    module: WindowModule

    def __init__(self, module: WindowModule) -> None:
        super().__init__(module)
        self.chain = [False] * (1 + module.depth)
        self.tags = [False] * module.ahead
        self.rows = self.word = self.row = self.group = 0
        self.row_beats, self.row_groups = module.source.row_beats, module.row_groups
        height = module.output.height
        self.need = [module.need(r) for r in range(height)]
        self.retire = [module.retire(r) for r in range(height)]
        self.emits = [module.emits(g) for g in range(module.row_groups)]
        self.parts, self.capacity = module.parts, module.rows

    def ready(self, source: _Model) -> bool:
        return self.rows < self.capacity

    def clock(self, arrived: bool) -> None:
        step = self._read() if self.enabled else 0
        if self.enabled:
            self.valid = self.chain[-1]
        if arrived:
            self.word += 1
            if self.word == self.row_beats:
                self.word = 0
                self.rows += 1
        self.rows -= step

    def _read(self) -> int:
        """One clock of the reading side; returns the rows it retires."""
        need, retired = self.need[self.row], 0
        present = self.rows >= need or (self.rows == need - 1 and self.word > self.group // self.parts)
        if not present and (self.group or True not in self.tags):
            self.chain = [False, *self.chain[:-1]]
            return 0
        tag = present and self.emits[self.group]
        emitted = tag
        if self.tags:
            emitted = self.tags[-1]
            self.tags = [tag, *self.tags[:-1]]
        self.chain = [emitted, *self.chain[:-1]]
        if present:
            self.group += 1
            if self.group == self.row_groups:
                self.group = 0
                retired = self.retire[self.row]
                self.row = (self.row + 1) % len(self.need)
        return retired


def _model(module: Module) -> _Model:
    match module:
        case InputModule():
            return _Input(module)
        case PointModule():
            return _Point(module)
        case FifoModule():
            return _Fifo(module)
        case SumModule() | FlattenModule():
            return _Sum(module)
        case WindowModule():
            return _Window(module)
    raise TypeError(f"no timing for {type(module).__name__}")


def _build(pipeline: Pipeline) -> list[_Model]:
    models = {module.name: _model(module) for module in pipeline.modules}
    for model in models.values():
        model.sources = [models[name] for name in model.module.inputs]
        for source in model.sources:
            source.readers.append(model)
    return list(models.values())


def _run(models: list[_Model], outputs: tuple[str, ...]) -> Iterator[tuple[bool, bool]]:
    """Clock after clock, whether a beat entered and whether a result left."""
    last = [m for m in models if m.module.name in outputs]
    backwards = models[::-1]
    while True:
        done = all(m.valid for m in last)
        for model in backwards:
            model.taken = model.valid and all(r.ready(model) for r in model.readers)
            if model in last:
                model.taken = model.taken and done
        yield models[0].taken, done and all(m.taken for m in last)
        arrivals = [m.arrived() for m in models]
        for model, arrived in zip(models, arrivals, strict=True):
            model.clock(arrived)


def _limit(pipeline: Pipeline, frames: int) -> int:
    """Clocks after which a pipeline that has not delivered never will."""
    beats = sum(module.output.beats for module in pipeline.modules) + 64 * len(pipeline.modules)
    work = sum(s.output.height * s.row_groups for s in pipeline.modules if isinstance(s, WindowModule))
    return (frames + 2) * (beats + work) + 1000


def timing(pipeline: Pipeline, frames: int = 5) -> Timing:
    """Initiation interval and latency of a pipeline.

    Raises
    ------
    RuntimeError
        If the pipeline stops, which no pipeline made by ``plan`` does.
    """
    entered, left = [], []
    beats = 0
    models = _build(pipeline)
    for clock, (enters, leaves) in enumerate(_run(models, pipeline.outputs)):
        if enters:
            if beats % pipeline.input.beats == 0:
                entered.append(clock)
            beats += 1
        if leaves:
            left.append(clock)
            if len(left) == frames:
                break
        if clock > _limit(pipeline, frames):
            raise RuntimeError(f"the pipeline stops after {len(left)} frames")
    latencies = [b - a for a, b in zip(entered, left, strict=False)]
    return Timing(left[-1] - left[-2], latencies[0], max(latencies))


def buffer_sizes(pipeline: Pipeline, frames: int = 3) -> dict[tuple[str, int], int]:
    """Beats that each input of a joining module must hold for its branches to flow unhindered.

    Parameters
    ----------
    pipeline : Pipeline
        Without FIFOs.
    frames : int
        Frames sent without pause.

    Returns
    -------
    dict
        Capacity by name of the joining module and position among its inputs; the pipeline's outputs are
        joined by a module named ``""``. The branch that comes last needs none.
    """
    direct = {
        (s.name, i): s.inputs[i] for s in pipeline.modules for i in range(len(s.inputs)) if len(s.inputs) > 1
    }
    if len(pipeline.outputs) > 1 or any(pipeline.consumers(name) for name in pipeline.outputs):
        direct |= {("", i): name for i, name in enumerate(pipeline.outputs)}
    if not direct:
        return {}
    waiting = {s.name for s in pipeline.modules if isinstance(s, PointModule) and s.held}
    unlimited = pipeline.input.beats * (frames + 1)
    models = _build(with_fifos(pipeline, dict.fromkeys(direct, unlimited), lambda key: f"{key[0]}|{key[1]}"))
    outputs = tuple(m.module.name for m in models if not m.readers)
    left = 0
    for clock, (_, leaves) in enumerate(_run(models, outputs)):
        left += leaves
        if left == frames or clock > _limit(pipeline, frames):
            break
    most = {m.module.name: m.most for m in models if isinstance(m, _Fifo)}
    sizes = {}
    for key, source in direct.items():
        held = most[f"{key[0]}|{key[1]}"]
        # a beat that passes at once needs no FIFO, unless its stream also goes elsewhere: two readers
        # that wait for each other would stop the stream
        readers = len(pipeline.consumers(source)) + pipeline.outputs.count(source)
        sizes[key] = 0 if held <= 1 and readers == 1 else held + 1
        if key[0] in waiting:
            # the next frame's beat gets there while this one's is held, and what it serves takes a clock longer
            sizes[key] = held + 2
    return sizes


def with_fifos(
    pipeline: Pipeline, sizes: dict[tuple[str, int], int], name: Callable[[tuple[str, int]], str]
) -> Pipeline:
    """The pipeline with FIFOs of the given capacities (0: none) before inputs and, under ``""``, outputs."""
    modules: list[Module] = []

    def behind(key: tuple[str, int], source: str) -> str:
        if not sizes.get(key, 0):
            return source
        fifo = FifoModule(name(key), (), (source,), pipeline.by_name[source].output, sizes[key])
        modules.append(fifo)
        return fifo.name

    for module in pipeline.modules:
        inputs = tuple(behind((module.name, i), source) for i, source in enumerate(module.inputs))
        modules.append(replace(module, inputs=inputs))
    outputs = tuple(behind(("", i), source) for i, source in enumerate(pipeline.outputs))
    return Pipeline(tuple(modules), outputs, pipeline.results)
