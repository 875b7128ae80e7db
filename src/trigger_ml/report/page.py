"""The report of one run: a single HTML file that needs nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import TemplateError

from trigger_ml.core.documents.base import plain
from trigger_ml.core.documents.evaluation import COMPRESSED, FLOAT, Evaluation
from trigger_ml.core.documents.verification import Verification
from trigger_ml.core.errors import InputError
from trigger_ml.core.foreign import reason
from trigger_ml.core.json_types import Json
from trigger_ml.evaluation.reference import against_reference, honest
from trigger_ml.report import formatting
from trigger_ml.report.content import RunContent, read_run
from trigger_ml.report.facts import (
    HEADLINES,
    TASKS,
    Tile,
    comparison_tile,
    configuration,
    exactness,
    known,
    missing,
    run_facts,
    size_pair,
    weight_bits,
)
from trigger_ml.report.figures import draw_all, specs
from trigger_ml.report.firmware import firmware_tables, latency_tile, lut_tile, not_run
from trigger_ml.report.reading import cautions, dig, histories, layer_rows, predicted_lut, size
from trigger_ml.report.reference import Curve, read_reference
from trigger_ml.report.rendering import write_page
from trigger_ml.report.rivals import (
    NAMES,
    given_facts,
    rival_rows,
    rival_tiles,
    training_facts,
    training_sentences,
)
from trigger_ml.report.robustness import robustness_content, robustness_gaps, robustness_line

__all__ = ["write_report"]


def _headline(content: RunContent) -> tuple[str, list[Tile]]:
    """The answer in a few sentences, and the tiles below it."""
    evaluation = content.evaluation
    first = [f"{said[0].upper()}{said[1:]}." for said in cautions(content.model)]
    if evaluation is None:
        return " ".join([*first, "Not measured: the models have not been compared on test events."]), []
    names = [n for n in HEADLINES[content.task] if n in evaluation.pair().metrics]
    sentences, tiles = first, []
    efficiency = f"{100 * evaluation.settings.gamma_efficiency:g} %"
    for name in names:
        label = evaluation.quantities[name].label
        label = f"Background at {efficiency} gamma efficiency" if name == "hadron_efficiency" else label
        found = against_reference(evaluation, name)
        assert found is not None
        sentences.append(f"{label}: {found.verdict}.")
        tiles.append(comparison_tile(name, label, evaluation.quantities[name].unit, found))
    if (line := robustness_line(evaluation)) is not None:
        sentences.append(line)
    return " ".join([*sentences, *training_sentences(evaluation, names)]), [*tiles, *rival_tiles(evaluation)]


def _model_tiles(content: RunContent) -> list[Tile]:
    tiles = []
    sizes = size_pair(content.model)
    if sizes is not None:
        note = f"{formatting.number(sizes[1], 2)} × smaller: float32, and packed non-zero"
        tiles.append(Tile("Model size", sizes[0], note))
    bits, zeros = weight_bits(content)
    if bits is not None:
        if zeros is None:
            tiles.append(Tile("Weights", f"{bits} bit"))
        else:
            tiles.append(Tile("Weights", f"{bits} bit, {zeros}", "of the weights are zero, measured"))
    return tiles


def _firmware_tiles(content: RunContent) -> list[Tile]:
    if content.offline is not None:
        number = len(content.offline.layers)
        return [
            Tile("Firmware", "none", f"{number} layers have no equivalent" if number else "not asked for")
        ]
    label, found = "Firmware, bit for bit", exactness(content.verification)
    if found is None:
        tiles = [Tile(label, "not measured", "see the end of the page")]
    else:
        state = "unchanged" if found.equal else "worse"
        tiles = [Tile(label, found.verdict, f"events compared: {found.events}", state)]
    for label, tile in (("LUTs", lut_tile(content.resources)), ("Latency", latency_tile(content.resources))):
        if tile is not None:
            tiles.append(Tile(label, *tile))
    return tiles


def _flatten(content: Json, prefix: str = "") -> list[tuple[str, object]]:
    """Nested values as rows of a path and a value; short lists stay in one row."""
    if isinstance(content, dict):
        rows: list[tuple[str, object]] = []
        for key, value in content.items():
            rows += _flatten(value, f"{prefix} › {key}" if prefix else str(key))
        return rows
    if isinstance(content, list):
        if all(not isinstance(item, dict | list) for item in content):
            shown = ", ".join(formatting.number(item) for item in content[:12])
            return [(prefix, shown + (" …" if len(content) > 12 else ""))]
        rows = []
        for index, item in enumerate(content):
            name = item.get("name", index + 1) if isinstance(item, dict) else index + 1
            rows += _flatten(item, f"{prefix} › {name}" if prefix else str(name))
        return rows
    return [(prefix, content)]


def _gaps(content: RunContent) -> list[str]:
    """What was not measured, and why."""
    evaluation = content.evaluation
    gaps = missing(content) + not_run(content.resources)
    if evaluation is not None:
        gaps += _not_judged(evaluation)
    if "model" not in content.missing and not any(
        history.metrics for history in histories(content.model).values()
    ):
        gaps.append("Training curves: the model was not trained in this run")
    if evaluation is not None and (undefined := _undefined(evaluation)):
        gaps.append(f"Change of {', '.join(undefined)}: undefined for these events")
    return gaps


def _not_judged(evaluation: Evaluation) -> list[str]:
    """What the evaluation could not tell, and why."""
    gaps = list(evaluation.flags)
    names = NAMES | {"trees": "Boosted trees"}
    gaps += [f"{names[key]}: {why}" for key, why in evaluation.not_judged.items()]
    gaps += robustness_gaps(evaluation)
    if evaluation.irf is None or not evaluation.irf.models:
        reason = "" if evaluation.irf is None else evaluation.irf.reason
        reason = reason or "they were not asked for in this evaluation"
        gaps.append(f"Effective area, background rate and sensitivity: {reason}")
    return gaps


def _undefined(evaluation: Evaluation) -> list[str]:
    """Figures of merit whose change is undefined."""
    rows = evaluation.pair().metrics.items()
    return [evaluation.quantities[name].label for name, row in rows if row.state == "undefined"]


def _seconds(content: RunContent, stage: str) -> float | None:
    found = dig(content.manifest, "stages", stage, "seconds")
    return None if found is None else float(found)


def _general(content: RunContent) -> list[tuple[str, object]]:
    """The run in one table: what, when, with which events and settings."""
    evaluation = content.evaluation
    rows = run_facts(content.manifest, TASKS.get(content.task, content.task))
    for name, history in histories(content.model).items():
        planned = formatting.count(history.epochs_planned)
        rows.append((f"Epochs, {name}", f"{formatting.count(history.epochs_run)} run of {planned} planned"))
    if evaluation is not None:
        rows += given_facts(evaluation.given)
        rows += training_facts(evaluation)
    rows.append(("Batch size", dig(content.config, "train", "batch_size")))
    split = content.model.events
    rows += [("Training events", split.train), ("Validation events", split.validation)]
    rows.append(("Test events", split.test))
    if evaluation is not None:
        events = evaluation.events
        rows.append(
            (
                "Events judged",
                f"{events.used:,} ({events.gamma:,} gammas, {events.hadron:,} hadrons) "
                f"from {events.showers:,} showers",
            )
        )
    for stage, label in (("train", "Training time"), ("compress", "Compression time")):
        if (seconds := _seconds(content, stage)) is not None:
            rows.append((label, formatting.duration(seconds)))
    for name in (FLOAT, COMPRESSED):
        if evaluation is not None and (took := evaluation.inference.get(name)) is not None:
            total = took.events or evaluation.events.given
            each = f", {formatting.duration(took.seconds / total)} per event" if total else ""
            rows.append((f"Inference time, {name}", formatting.duration(took.seconds) + each))
    return known(rows)


def _model_table(content: RunContent) -> list[tuple[str, str, str]]:
    """Size and cost of the two models side by side."""
    rows: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
        ("Parameters", "parameters", formatting.count),
        ("Weights", "weights", formatting.count),
        ("Weights that are not zero", "nonzero_weights", formatting.count),
        ("Sparsity", "sparsity", formatting.percent),
        ("Layers", "n_layers", formatting.count),
        ("Multiplications per event", "macs", formatting.count),
        ("Multiplications by a weight that is not zero", "macs_nonzero", formatting.count),
        ("GFLOPs per event", "gflops", formatting.number),
        ("Bit operations per event", "bit_operations", formatting.count),
        ("Size as float32", "dense", formatting.bytes_),
        ("Size packed, zeros left out: firmware's weights", "packed", formatting.bytes_),
        ("Size after gzip", "gzip", formatting.bytes_),
    )
    table = []
    for label, key, show in rows:
        values = [size(content.model, name, key) for name in (FLOAT, COMPRESSED)]
        if any(v is not None for v in values):
            table.append((label, show(values[0]), show(values[1])))
    if (lut := predicted_lut(content.resources)) is not None:
        table.append(("LUTs, predicted", formatting.DASH, formatting.count(lut)))
    return table


def _files(content: RunContent) -> list[tuple[str, str, str]]:
    """Model files with their bytes, as they are and after gzip."""
    found = content.sizes.files.values()
    return [(size.what, formatting.bytes_(size.bytes), formatting.bytes_(size.gzip)) for size in found]


def _comparisons(evaluation: Evaluation | None, task: str) -> dict[str, object]:
    """The tables of the page that an evaluation fills."""
    if evaluation is None:
        return {}
    pair = evaluation.pair()
    return {
        "pair": pair,
        "metrics": {name: honest(evaluation, row) for name, row in pair.metrics.items()},
        "models": (FLOAT, COMPRESSED),
        "compressed": COMPRESSED,
        "response": evaluation.response(),
        "rivals": rival_rows(evaluation, task),
        "robustness": robustness_content(evaluation),
    }


def _obstacles(content: RunContent) -> list[tuple[str, str, str, str]]:
    """Layers that firmware lacks."""
    found = () if content.offline is None else content.offline.layers
    return [(item.layer, item.kind, item.why, item.remedy) for item in found]


def _verified(verification: Verification | None) -> list[tuple[str, object]]:
    """What was verified beside the backends and the layers' bounds."""
    if verification is None:
        return []
    shown = plain(verification, everything=True)
    assert isinstance(shown, dict)
    elsewhere = ("backends", "events", "corner_inputs", "proof", "random_inputs")
    return _flatten(
        {key: value for key, value in shown.items() if key not in elsewhere and value is not None}
    )


def write_report(run_directory: Path, reference: Path | None = None) -> Path:
    """Write ``report.html`` and ``figures/`` of a run.

    Parameters
    ----------
    run_directory : Path
        Holds ``manifest.json``; ``model/model.json``, ``verification.json``, ``evaluation.json`` and
        ``resources.json`` are used where they are there, and named as not measured where they are not.
    reference : Path, optional
        Published curves to lay over (see `trigger_ml.report.reference.read_reference`).

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If the folder is no run directory or a file in it cannot be read, or lacks what a run of this version
        leaves.
    """
    content = read_run(run_directory)
    curves = [] if reference is None else read_reference(reference)
    try:
        return _write(content, curves)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise InputError(
            str(run_directory),
            f"its JSON files are not those of a run of this version ({reason(error)})",
            "Make them again with `trigger-ml evaluate CONFIG`; if they are of this version, report a defect "
            "with what --debug shows",
        ) from error


def _write(content: RunContent, curves: Sequence[Curve]) -> Path:
    run_directory, evaluation = content.path, content.evaluation
    figures = draw_all(specs(content, curves), run_directory / "figures")
    answer, tiles = _headline(content)
    return write_page(
        run_directory / "report.html",
        "report.html",
        content=content,
        evaluation=evaluation,
        verification=content.verification,
        answer=answer,
        **_comparisons(evaluation, content.task),
        tiles=[*tiles, *_model_tiles(content), *_firmware_tiles(content)],
        task=TASKS.get(content.task, content.task),
        figures=figures,
        general=_general(content),
        sizes=_model_table(content),
        files=_files(content),
        layers={name: layer_rows(content.model, name) for name in (FLOAT, COMPRESSED)},
        resources=firmware_tables(content.resources),
        verification_rows=_verified(content.verification),
        config=configuration(content),
        gaps=_gaps(content),
        obstacles=_obstacles(content),
    )
