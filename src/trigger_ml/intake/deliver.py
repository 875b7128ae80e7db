"""The verb ``firmware``: a model without events becomes verified projects in one folder.

The folder is laid out as a run's (``trigger_ml.core.layout``), so that what reads a run reads it, too. It is
written beside and takes its place when everything in it was compared; a failure leaves what was there before.
"""

import time
from pathlib import Path

import numpy as np
from rich.console import Console

from trigger_ml import __version__
from trigger_ml.core import layout
from trigger_ml.core.config import IntakeConfig
from trigger_ml.core.documents.base import read, write
from trigger_ml.core.documents.intake import DELIVERY, Agreement, Delivery
from trigger_ml.core.errors import InputError
from trigger_ml.core.files import atomic_directory, sha256, write_text
from trigger_ml.core.fixed_point import to_float
from trigger_ml.core.foreign import naming
from trigger_ml.core.run import fingerprint
from trigger_ml.firmware.ir import serialize
from trigger_ml.firmware.ir.interpreter import logits
from trigger_ml.firmware.onnx.emulator import write_emulator
from trigger_ml.firmware.verify import verify
from trigger_ml.intake.subject import Subject, bring, converted, project_name
from trigger_ml.pipeline.making import Source, engines, write_projects, write_resources, write_verification
from trigger_ml.report.intake import delivery_readme, print_delivery

__all__ = ["deliver"]

WHOLE = (
    layout.NETWORK, layout.EMULATOR, layout.VECTORS, layout.EMULATOR_SOURCES, layout.VERIFICATION,
    layout.RESOURCES, layout.DELIVERY,
)  # fmt: skip
"""What every delivery holds."""


def deliver(
    model: Path,
    output: Path,
    config: IntakeConfig,
    console: Console,
    *,
    weights: Path | None = None,
    inputs: Path | None = None,
    synthesize: bool = False,
) -> Delivery:
    """Make, compare and measure firmware of a model.

    Parameters
    ----------
    model : Path
        See :func:`~trigger_ml.models.files.open_model`; or a network file of the project's own.
    output : Path
        Folder; one that an earlier call left is replaced, any other that is not empty is refused.
    config : IntakeConfig
    console : rich.console.Console
    weights, inputs : Path, optional
        Weights of a topology; ``.npy`` of what the model takes.
    synthesize : bool
        Measure with the tools that ``config.firmware.synthesis`` names; else the prediction stands alone.

    Returns
    -------
    Delivery

    Raises
    ------
    InputError, MappingError, ToolMissingError
    VerificationError
        If an engine gives other bits; nothing is left then.
    """
    _require_ours(output)
    config = _measured(config, synthesize)
    mark = _mark(model, weights, inputs, config)
    if (before := _delivered(output, mark)) is not None:
        console.print("[dim]done before, unchanged[/dim]")
        print_delivery(output, console)
        return before
    start = time.perf_counter()
    brought = bring(model, weights)
    console.print(f"{model}: {brought.framework}", highlight=False, soft_wrap=True, markup=False)
    subject = converted(brought, config, inputs)
    name = project_name(brought, config)
    for note in subject.notes:
        console.print(f"  {note}", highlight=False, soft_wrap=True, markup=False)
    with atomic_directory(output) as folder:
        with naming(str(model)):
            agreement = _make(subject, name, config, folder, console)
        made = Delivery(
            name,
            str(model),
            brought.framework,
            mark,
            brought.quantized,
            str(subject.network.input.dtype),
            subject.inputs.origin,
            round(time.perf_counter() - start, 2),
            subject.notes,
            agreement,
        )
        write(folder / layout.DELIVERY, DELIVERY, made)
        write_text(folder / "README.md", delivery_readme(folder))
    print_delivery(output, console)
    return made


def _make(
    subject: Subject, name: str, config: IntakeConfig, folder: Path, console: Console
) -> Agreement | None:
    """All files but the summary."""
    network, counts = subject.network, subject.inputs.counts
    serialize.save(network, folder / layout.NETWORK)
    write_emulator(network, folder / layout.EMULATOR)
    source = Source(name, network)
    console.print("[bold]build[/bold]")
    vectors = counts[:: max(1, len(counts) // config.firmware.vectors)][: config.firmware.vectors]
    write_projects(source, vectors, None, config.firmware, folder)
    console.print("[bold]verify[/bold]")
    given = subject.brought.given
    # a quantized model is compared as its owner has it, softmax and all; a float one's twin with its network
    framework = None if given is None else given.twin if given.quantized else subject.model
    checks = engines(source, framework, config.firmware, config.verify, folder, config.seed, console)
    own = subject.own_outputs
    result = verify(network, counts, checks, config.verify, seed=config.seed, float_logits=own)
    write_verification(result, folder, console)
    console.print("[bold]resources[/bold]")
    write_resources(network, config.firmware, folder, console)
    return None if own is None else _agreement(subject, own)


def _agreement(subject: Subject, own: np.ndarray) -> Agreement:
    network = subject.network
    found = logits(network, subject.inputs.counts)
    columns = [
        to_float(found[name], network.types[name].fraction).reshape(len(own), -1) for name in network.outputs
    ]
    firmware = subject.brought.given.comparable(columns)
    difference = firmware - own
    if own.shape[1] > 1:
        same = np.mean(firmware.argmax(axis=1) == own.argmax(axis=1))
    else:
        same = np.mean((firmware > 0) == (own > 0))
    rms = float(np.sqrt(np.mean(difference**2)))
    return Agreement(len(own), own.shape[1], float(same), rms, float(np.abs(difference).max()))


def _measured(config: IntakeConfig, synthesize: bool) -> IntakeConfig:
    """The configuration without the tools, unless they are asked for."""
    if synthesize:
        return config
    off = {"tool": None, "vendor": False, "place_and_route": False}
    synthesis = config.firmware.synthesis.model_copy(update=off)
    return config.model_copy(update={"firmware": config.firmware.model_copy(update={"synthesis": synthesis})})


def _require_ours(output: Path) -> None:
    """Refuse a folder that somebody else filled."""
    if output.exists() and not output.is_dir():
        raise InputError(str(output), "is a file", "Name a folder")
    if output.is_dir() and any(output.iterdir()) and not (output / layout.DELIVERY).is_file():
        raise InputError(
            str(output), "is not empty, and holds no firmware of this verb", "Name another folder"
        )


def _mark(model: Path, weights: Path | None, inputs: Path | None, config: IntakeConfig) -> str:
    """What a delivery depends on."""
    files = [path for path in (model, weights, inputs) if path is not None]
    content = {str(i): _content(path) for i, path in enumerate(files)}
    return fingerprint(__version__, content, config.model_dump(mode="json"))


def _content(path: Path) -> list[str]:
    """Hashes of a file, of what may belong to a topology beside it, or of all files of a folder."""
    if path.is_dir():
        return [
            f"{file.relative_to(path)} {sha256(file)}" for file in sorted(path.rglob("*")) if file.is_file()
        ]
    beside = sorted(path.parent.glob(f"{path.stem}*.h5")) if path.suffix == ".json" else []
    return [sha256(file) for file in (path, *beside) if file.is_file()]


def _delivered(output: Path, mark: str) -> Delivery | None:
    """What is in the folder already, if it is the same delivery and whole."""
    if not all((output / name).exists() for name in WHOLE):
        return None
    try:
        found = read(output / layout.DELIVERY, DELIVERY)
    except InputError:
        return None
    return found if found.fingerprint == mark else None
