"""Verbs for a model without events, as the command line gives them.

TensorFlow is imported where a verb works, and first through the module that keeps its start-up quiet.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trigger_ml.core.config import IntakeConfig, load_yaml, parse

__all__ = ["estimate", "firmware", "support"]

CONSOLE = Console(emoji=False)

Model = Annotated[Path, typer.Argument(help="Keras or QKeras model, or a network file (.npz).")]
Weights = Annotated[Path | None, typer.Option(help="Weights of a topology (.json).")]
Config = Annotated[Path | None, typer.Option(help="Settings (`schema firmware` lists them).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _intake(config: Path | None) -> IntakeConfig:
    return IntakeConfig() if config is None else parse(IntakeConfig, load_yaml(config), str(config))


def firmware(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything.")],
    inputs: Annotated[Path | None, typer.Option(help="What the model takes, event by event (.npy).")] = None,
    weights: Weights = None,
    config: Config = None,
    synthesize: Annotated[bool, typer.Option("--synthesize", help="Measure the projects, too.")] = False,
) -> None:
    """Make firmware of a model of yours, without events: projects, emulators, vectors, proof, costs."""
    import trigger_ml.core.keras2  # noqa: F401
    from trigger_ml.intake.deliver import deliver

    deliver(model, output, _intake(config), CONSOLE, weights=weights, inputs=inputs, synthesize=synthesize)


def estimate(
    model: Model,
    weights: Weights = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Predict what a model would cost as firmware, layer by layer, in seconds."""
    import trigger_ml.core.keras2  # noqa: F401
    from trigger_ml.core.documents.base import plain
    from trigger_ml.intake.costing import estimate as estimated
    from trigger_ml.report.intake import print_estimate

    found = estimated(model, _intake(config), weights)
    if as_json:
        sys.stdout.write(json.dumps(plain(found, everything=True), indent=2) + "\n")
    else:
        print_estimate(found, CONSOLE)


def support(
    model: Annotated[Path | None, typer.Argument(help="A model; none: a table of all.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for the table.")] = None,
    weights: Weights = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say all that stands between a model and its firmware (exit code 2), or what is supported."""
    import trigger_ml.core.keras2  # noqa: F401
    from trigger_ml.core.documents.base import plain
    from trigger_ml.core.files import write_text
    from trigger_ml.intake.catalogue import markdown
    from trigger_ml.intake.preflight import refusals_of
    from trigger_ml.report.intake import print_refusals

    if model is None:
        text = markdown()
        sys.stdout.write(text) if output is None else write_text(output, text)
        return
    found = refusals_of(model, _intake(config), weights)
    if as_json:
        sys.stdout.write(json.dumps(plain(found, everything=True), indent=2) + "\n")
    else:
        print_refusals(found, CONSOLE)
    if found.refusals:
        raise typer.Exit(2)
