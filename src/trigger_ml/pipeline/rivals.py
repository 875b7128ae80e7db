"""The models of a run that are judged beside the float and the compressed one: control and boosted trees."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.evaluation import GIVEN, Given
from trigger_ml.core.documents.model import FLOAT_HISTORY, Ending
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import write_json
from trigger_ml.core.keras_types import Model
from trigger_ml.evaluation.robustness import NightSkyAnswers
from trigger_ml.events.dataset import Dataset, Splits
from trigger_ml.events.night_sky import NightSky
from trigger_ml.events.rival import LEVELS, read_parameters
from trigger_ml.models.trees import load_trees, save_trees
from trigger_ml.pipeline.emulators import open_emulator

__all__ = [
    "answers",
    "float_ending",
    "given_facts",
    "network_answers",
    "night_sky_answers",
    "not_judged",
    "write_trees",
]

FloatArray = NDArray[np.float64]
# the interpreter keeps all maps of a batch
_LITERT_BATCH = 16


def write_trees(
    directory: Path, dataset: Dataset, splits: Splits, config: ExperimentConfig, console: Console
) -> None:
    """Train boosted trees; leaves ``trees.npz``, and in ``trees.json`` what they are or why there are none.

    Parameters
    ----------
    directory : Path
        The run directory.
    dataset : Dataset
    splits : Splits
    config : ExperimentConfig
    console : rich.console.Console
    """
    path, facts_path, start = directory / layout.TREES, directory / layout.TREES_FACTS, time.perf_counter()
    try:
        parameters = read_parameters(dataset, config.events)
        save_trees(path, parameters, dataset.label, splits.train, splits.validation, config.seed)
        found, _ = load_trees(path)
    except InputError as error:
        path.unlink(missing_ok=True)
        write_json(facts_path, {"reason": f"{error.what} {error.why}"})
        console.print(f"  no boosted trees: {error}", highlight=False)
        return
    facts = {
        "trees": found.iterations,
        "parameters": list(found.names),
        "cleaning": [asdict(level) for level in LEVELS],
        "seconds": time.perf_counter() - start,
    }
    write_json(facts_path, facts)


def answers(
    path: Path, config: ExperimentConfig, test: Dataset, rows: NDArray[np.int64]
) -> dict[str, Callable[[], FloatArray]]:
    """What gives the outputs of each model of a run for its test events.

    Parameters
    ----------
    path : Path
        The run directory.
    config : ExperimentConfig
    test : Dataset
    rows : numpy.ndarray of int64, shape (len(test),)
        Of the test events in the whole dataset.

    Returns
    -------
    dict of str to callable
        ``float`` and ``compressed``; ``control``, ``trees`` and ``litert_SCHEME`` where the run has them.
    """
    from trigger_ml.models.trees import load_trees

    found = network_answers(path, config, test.counts)
    if (trees := path / layout.TREES).exists():
        trained, parameters = load_trees(trees)
        mine = {name: column[rows] for name, column in parameters.items()}
        found["trees"] = lambda: trained.logits(mine)
    return found


def network_answers(
    path: Path, config: ExperimentConfig, counts: NDArray[np.unsignedinteger]
) -> dict[str, Callable[[], FloatArray]]:
    """What gives the outputs of each network of a run for some input; as `answers`, without the trees.

    Parameters
    ----------
    path : Path
    config : ExperimentConfig
    counts : numpy.ndarray of uint8 or uint16, shape (n, H, W, C)
    """
    from trigger_ml.models.batches import predict
    from trigger_ml.models.files import load_model

    bits = config.events.input.bits

    def keras(model: Model) -> Callable[[], FloatArray]:
        return lambda: predict(model, counts, bits)

    found = {"float": keras(load_model(path / layout.FLOAT_MODEL))}
    if config.firmware is None:
        found["compressed"] = keras(load_model(path / layout.COMPRESSED_MODEL))
    else:
        emulator = open_emulator(path)
        found["compressed"] = lambda: emulator.answer(counts)
    if (control := path / layout.CONTROL_MODEL).exists():
        found["control"] = keras(load_model(control))
    for scheme in config.compression.post_training:
        if (file := path / layout.LITERT_FOLDER / f"{scheme}.tflite").exists():
            found[f"litert_{scheme}"] = partial(_litert, file, counts, bits)
    return found


def _litert(file: Path, counts: NDArray[np.unsignedinteger], bits: int) -> FloatArray:
    from trigger_ml.compression.litert import LiteRtModel

    return LiteRtModel(file.read_bytes()).predict(counts, bits, _LITERT_BATCH)


def night_sky_answers(path: Path, config: ExperimentConfig, night: NightSky | None) -> NightSkyAnswers | None:
    """What the networks of a run say to its clocked events; None without any.

    Parameters
    ----------
    path : Path
        The run directory.
    config : ExperimentConfig
    night : NightSky or None
    """
    if night is None:
        return None
    left_out = {}
    if (path / layout.TREES).exists():
        left_out["trees"] = "image parameters are not computed for clocked events"
    logits = {name: run() for name, run in network_answers(path, config, night.counts).items()}
    return NightSkyAnswers(logits, night.conditions, left_out)


def not_judged(path: Path) -> dict[str, str]:
    """Why a run has no control, no trees, or lacks a scheme of LiteRT."""
    found = {}
    for name, file in (("control", layout.CONTROL_HISTORY), ("trees", layout.TREES_FACTS)):
        if reason := json.loads((path / file).read_text()).get("reason"):
            found[name] = str(reason)
    facts = path / layout.LITERT_FACTS
    refused = json.loads(facts.read_text())["refused"] if facts.exists() else {}
    return found | {f"litert_{scheme}": str(why) for scheme, why in refused.items()}


def given_facts(path: Path) -> Given | None:
    """What `trigger_ml.pipeline.given.judge` found of a given model; None without one."""
    file = path / layout.GIVEN
    return read(file, GIVEN) if file.is_file() else None


def float_ending(path: Path) -> Ending | None:
    """Which rule ended the float training of a run; None where it was not trained there."""
    history = read(path / layout.FLOAT_HISTORY, FLOAT_HISTORY).history
    return None if history is None else history.ending
