"""``trigger-ml trace``: one test event of a run, layer by layer, through every backend that the run has."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_json
from trigger_ml.core.fixed_point import input_values
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.dataset import Dataset
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.trace import REFERENCE, LayerTrace, Seen, Trace, trace_event

__all__ = ["TracedEvent", "print_trace", "trace_run"]


@dataclass(frozen=True)
class TracedEvent:
    """What was written.

    Parameters
    ----------
    trace : Trace
    files : tuple of Path
    """

    trace: Trace
    files: tuple[Path, ...]


def _row(test: Dataset, event: str) -> int:
    """Row in the test set of a number or of ``obs/event/tel``."""
    if event.isdecimal():
        if int(event) < len(test):
            return int(event)
        raise InputError(
            f"--event {event}", f"the test set has rows 0 to {len(test) - 1}", "Give one of them"
        )
    parts = event.split("/")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise InputError(f"--event {event}", "neither a row nor obs/event/tel", "Write 12 or 1/204/1")
    wanted = [int(part) for part in parts]
    found = np.flatnonzero(
        (test.obs_id == wanted[0]) & (test.event_id == wanted[1]) & (test.tel_id == wanted[2])
    )
    if not len(found):
        raise InputError(f"--event {event}", "no such event in the test set", "Give a row number instead")
    if len(found) > 1:
        # files of different particles may number their events alike
        rows = ", ".join(map(str, found))
        raise InputError(
            f"--event {event}", f"rows {rows} of the test set have this id", "Give one of the rows"
        )
    return int(found[0])


def _float_values(
    path: Path, network: Network, counts: NDArray[np.integer], bits: int
) -> dict[str, NDArray[np.floating]]:
    """Outputs of the float model's layers that have a namesake in the network.

    A layer stands beside the network's after the folding of its normalization.
    """
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.core.keras2 import tf_keras
    from trigger_ml.models.files import load_model

    folded = fold_batch_norm(load_model(path / layout.FLOAT_MODEL))
    known = {node.name for node in network.nodes}
    layers = [layer for layer in folded.layers if layer.name in known]
    inner = tf_keras.Model(folded.inputs, [layer.output for layer in layers])
    x = input_values(counts[np.newaxis], bits)
    return {
        layer.name: np.asarray(values) for layer, values in zip(layers, inner(x, training=False), strict=True)
    }


def trace_run(directory: Path, event: str, output: Path | None, console: Console) -> TracedEvent:
    """Trace one test event of a finished run, and write table, JSON and figure.

    Parameters
    ----------
    directory : Path
        A run directory with ``build`` done.
    event : str
        Row in the test set, or ``obs/event/tel``.
    output : Path, optional
        Folder to write to; ``trace`` in the run directory by default.
    console : rich.console.Console

    Raises
    ------
    InputError
        If the run has no firmware, or the event is not in its test set.
    """
    from trigger_ml.firmware.ir import serialize
    from trigger_ml.models.files import load_model
    from trigger_ml.pipeline.making import Source, backends
    from trigger_ml.pipeline.sample import load_sample
    from trigger_ml.pipeline.workspace import Workspace
    from trigger_ml.report.figures_trace import trace_figure
    from trigger_ml.report.style import save

    run = RunDirectory(directory)
    config = run.config()
    if not (directory / layout.NETWORK).is_file() or not (directory / layout.FIRMWARE).is_dir():
        raise InputError(str(directory), "it has no firmware", "Run `trigger-ml build CONFIG` for it first")
    sample = load_sample(Workspace(config, run, console))
    dataset, splits = sample.dataset, sample.splits
    test = dataset[splits.test]
    row = _row(test, event)
    name = f"{test.obs_id[row]}/{test.event_id[row]}/{test.tel_id[row]}"
    network = serialize.load(directory / layout.NETWORK)
    model = load_model(directory / layout.COMPRESSED_MODEL)
    source = Source(config.name, network)
    trace = trace_event(
        network,
        backends(source, model, config.hardware, directory, console, progress=False, only_present=True),
        test.counts[row],
        name,
        _float_values(directory, network, test.counts[row], config.events.input.bits),
    )
    folder = output or directory / layout.TRACES
    stem = f"event-{event.replace('/', '-')}"
    content = {"row": row, **trace.to_dict()}
    write_json(folder / f"{stem}.json", content)
    save(stem, "", "", partial(trace_figure, content), folder)
    return TracedEvent(trace, tuple(folder / f"{stem}.{suffix}" for suffix in ("json", "png", "pdf")))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _range(layer: LayerTrace, seen: Seen | None) -> str:
    if seen is None:
        return "·"
    if seen.differing:
        return f"[red]{seen.low} … {seen.high} ({seen.differing} differ)[/red]"
    reference = layer.seen[REFERENCE]
    if seen is not reference:
        return "="
    return f"{seen.low} … {seen.high}"


def print_trace(trace: Trace, console: Console) -> None:
    """The trace as a table.

    ``=`` says that a backend has every value of the interpreter, ``·`` that it does not show the layer.

    Parameters
    ----------
    trace : Trace
    console : rich.console.Console
    """
    table = Table(title=f"event {trace.event}", title_justify="left", box=SIMPLE, pad_edge=False)
    for column in ("layer", "type"):
        table.add_column(column, no_wrap=True)
    for column in ("real values", *trace.backends, "float", "zero %", "saturated %"):
        table.add_column(column, justify="right", no_wrap=True)
    first = trace.first_difference
    for layer in trace.layers:
        seen = layer.seen[REFERENCE]
        beside = layer.float_range
        marked = ", ".join(name for name, where in first.items() if where == layer.name)
        table.add_row(
            f"[bold red]{escape(layer.name)} ← {marked} first differs[/bold red]"
            if marked
            else escape(layer.name),
            str(layer.dtype),
            f"{layer.real(seen.low):.4g} … {layer.real(seen.high):.4g}",
            *(_range(layer, layer.seen.get(name)) for name in trace.backends),
            "" if beside is None else f"{beside[0]:.4g} … {beside[1]:.4g}",
            _percent(seen.zero),
            _percent(seen.saturated),
        )
    # a line that a terminal wraps still says more than one that is cut off
    width = console.width
    console.width = max(width, console.measure(table, options=console.options.update(max_width=500)).maximum)
    console.print(table)
    console.width = width
    console.print(
        "= every value is the interpreter's; · computed together with another layer, not visible",
        highlight=False,
        soft_wrap=True,
    )
