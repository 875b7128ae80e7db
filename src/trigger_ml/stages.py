"""What each stage of an experiment does: the glue between the rooms, and nothing else.

A stage reads the configuration and what earlier stages left, and writes its own outputs
(`trigger_ml.pipeline` names them). Functions are called by name.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from trigger_ml import __version__
from trigger_ml.core.errors import ConfigError
from trigger_ml.core.files import atomic_directory, write_json, write_text
from trigger_ml.events.dataset import Dataset
from trigger_ml.feasibility import require_feasible
from trigger_ml.pipeline import Workspace
from trigger_ml.samples import Sample, load_sample, subset

FLOAT_MODEL = Path("model/float/model.h5")
COMPRESSED_MODEL = Path("model/compressed/model.h5")
CONTROL_MODEL = Path("model/control/model.h5")
NETWORK = Path("network/network.npz")
EMULATOR = Path("onnx/emulator.onnx")
FLOAT_ONNX = Path("onnx/float.onnx")


def simulate(workspace: Workspace) -> None:
    """Make the events, or note which files of the user take their place."""
    from trigger_ml.simulation.chunks import NIGHT_SKY
    from trigger_ml.simulation.production import simulate as produce

    config, folder = workspace.config, workspace.path / "events"
    if config.model.weights is not None:
        from trigger_ml.given import prepare

        # a model that firmware cannot hold is refused before anything is made
        prepare(config)
    folder.mkdir(exist_ok=True)
    files = {"events": list(config.events.files), "night_sky": list(config.events.night_sky_files)}
    if not config.events.files:
        made = produce(config.simulation, folder, seed=config.seed, progress=workspace.console.is_terminal)
        files["events"] = [path.name for path in made]
        if config.simulation.night_sky_events:
            files["night_sky"].append(f"{NIGHT_SKY}.dl1.h5")
    write_json(folder / "files.json", files)


def _settings(sample: Sample) -> dict[str, Any]:
    """What the trainings of compression and their control share."""
    config = sample.config
    return {
        "seed": config.seed if config.compression.seed is None else config.compression.seed,
        "task": config.task,
        "regression_loss": config.train.regression_loss,
        "tensorboard": config.train.tensorboard,
        "symmetries": sample.symmetries,
    }


def train(workspace: Workspace) -> None:
    """Train the float model, or take the one that the configuration names."""
    from trigger_ml.given import judge, keep, prepare
    from trigger_ml.models.files import save_model
    from trigger_ml.models.heads import start_at
    from trigger_ml.models.registry import build_model
    from trigger_ml.models.training import train as fit

    config, folder = workspace.config, workspace.path / FLOAT_MODEL.parent
    given = None if config.model.weights is None else prepare(config)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    rows = {name: subset(dataset, getattr(splits, name), config) for name in ("train", "validation", "test")}
    history: dict[str, Any] | None = None
    if given is not None:
        model = given.model
        _check_input(model, dataset, str(config.model.weights))
        write_json(folder / "given.json", judge(given, config, dataset, sample.targets, rows["test"]))
        keep(config, workspace.path)
    else:
        counts, target, validation = sample.training()
        model = build_model(config.model, dataset.counts.shape[1:], config.task, config.seed)
        require_feasible(model, config)
        if config.task != "type":
            start_at(model, target)
        history = fit(
            model,
            counts,
            target,
            validation,
            config.train,
            bits=config.events.input.bits,
            seed=config.seed,
            directory=folder,
            task=config.task,
            symmetries=sample.symmetries,
        ).to_dict()
    save_model(model, workspace.path / FLOAT_MODEL)
    events = {name: len(part) for name, part in rows.items()}
    write_json(
        folder / "history.json", {"history": history, "events": {**events, "dropped": dataset.dropped}}
    )


def _check_input(model: Any, dataset: Dataset, source: str) -> None:
    expected, given = dataset.counts.shape[1:], tuple(model.input_shape[1:])
    if expected != given:
        raise ConfigError(
            f"model.weights: {source}",
            f"the model takes images of shape {given}, the events have {expected}",
            "Use events of the model's camera and channels, or another model",
        )


def compress(workspace: Workspace) -> None:
    """Quantize and prune, extract the network, write the emulators."""
    from trigger_ml.compression.compress import compress as compress_model
    from trigger_ml.compression.fold import fold_batch_norm
    from trigger_ml.firmware import serialize
    from trigger_ml.firmware.extract import extract
    from trigger_ml.firmware.onnx import write_emulator
    from trigger_ml.models.export import export_onnx
    from trigger_ml.models.files import load_model, save_model

    config, path = workspace.config, workspace.path
    sample = load_sample(workspace)
    model = load_model(path / FLOAT_MODEL)
    input_type = config.events.input.dtype
    result = compress_model(
        model,
        *sample.training(),
        config.compression,
        input_type=input_type,
        directory=path / COMPRESSED_MODEL.parent,
        **_settings(sample),
    )
    save_model(result.model, path / COMPRESSED_MODEL)
    network = extract(result.model, input_type=input_type, metadata=_metadata(sample))
    serialize.save(network, path / NETWORK)
    write_emulator(network, path / EMULATOR)
    export_onnx(fold_batch_norm(model), path / FLOAT_ONNX)
    _write_model_summary(workspace, model, result)


def control(workspace: Workspace) -> None:
    """Give the float model the epochs of compression, or note why not."""
    from trigger_ml.compression.control import train_control
    from trigger_ml.models.files import load_model, save_model

    config, path = workspace.config, workspace.path
    folder = path / CONTROL_MODEL.parent
    if not config.compression.control:
        write_json(folder / "history.json", {"reason": "compression.control is false"})
        return
    sample = load_sample(workspace)
    result = train_control(
        load_model(path / FLOAT_MODEL),
        *sample.training(),
        config.compression,
        bits=config.events.input.bits,
        directory=folder,
        **_settings(sample),
    )
    save_model(result.model, path / CONTROL_MODEL)
    write_json(folder / "history.json", {"histories": result.to_dict()})


def trees(workspace: Workspace) -> None:
    """Train boosted trees on image parameters of the same events, or note why not."""
    from trigger_ml.rivals import write_trees

    config, folder = workspace.config, workspace.path / "model" / "trees"
    if config.task != "type":
        write_json(folder / "trees.json", {"reason": f"this run reconstructs the {config.task}"})
        return
    sample = load_sample(workspace)
    write_trees(folder, sample.dataset, sample.splits, config, workspace.console)


def _metadata(sample: Sample) -> dict[str, Any]:
    """What a user of the network alone needs; the keys are described in docs/network-format.md."""
    config, grid = sample.config, sample.dataset.grid
    return {
        "domain": sample.domain(),
        "name": config.name,
        "task": config.task,
        "trigger_ml": __version__,
        "camera": grid.camera,
        "grid": grid.to_dict(),
        "input": config.events.input.model_dump(mode="json"),
        "dead_pixels": config.events.dead_pixels,
    }


def _write_model_summary(workspace: Workspace, float_model: Any, result: Any) -> None:
    """``model/model.json``: both models' layers, sizes, sparsity and histories."""
    from trigger_ml.models.summary import describe_model

    trained = json.loads((workspace.path / FLOAT_MODEL.parent / "history.json").read_text())
    summary: dict[str, Any] = {"events": trained["events"]}
    for name, model, history in (
        ("float", float_model, trained["history"]),
        ("compressed", result.model, result.history.to_dict()),
    ):
        summary[name] = {**describe_model(model), "history": history}
    if result.pruning_history is not None:
        summary["compressed"]["pruning_history"] = result.pruning_history.to_dict()
    summary["compressed"]["sparsity"] = result.sparsity
    summary["compressed"]["sparsity_by_layer"] = [row.to_dict() for row in result.layers]
    write_json(workspace.path / "model" / "model.json", summary)


def build(workspace: Workspace) -> None:
    """Write the firmware projects and the test vectors; refuse before that what the part cannot hold."""
    from trigger_ml.firmware import serialize
    from trigger_ml.firmware.hls import write_project
    from trigger_ml.firmware.rtl.flow import build_rtl, check_fit
    from trigger_ml.firmware.vectors import write_testbench, write_vectors
    from trigger_ml.models.files import load_model

    config, folder = workspace.config, workspace.path / "firmware"
    network = serialize.load(workspace.path / NETWORK)
    if config.firmware.rtl is not None:
        check_fit(network, config.firmware.rtl)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    chosen = splits.test[:: max(1, len(splits.test) // config.firmware.vectors)][: config.firmware.vectors]
    ids = [f"{o}/{e}/{t}" for o, e, t in zip(*_identity(dataset[chosen]), strict=True)]
    write_vectors(network, dataset.counts[chosen], folder / "vectors", event_ids=ids)
    if config.firmware.hls is not None:
        model = load_model(workspace.path / COMPRESSED_MODEL)
        project = write_project(model, network, config.firmware.hls, folder / "hls", name=config.name)
        write_testbench(network, dataset.counts[chosen], project.directory)
    if config.firmware.rtl is not None:
        build_rtl(network, config.firmware.rtl, dataset.counts[chosen].astype(np.int64), folder / "rtl")


def synthesize(workspace: Workspace) -> None:
    """Measure what the firmware projects cost and how long they take; leaves ``resources.json``."""
    from trigger_ml.firmware import serialize
    from trigger_ml.firmware.measure import measure
    from trigger_ml.summary import resource_rows

    path = workspace.path
    network = serialize.load(path / NETWORK)
    resources = measure(network, workspace.config.firmware, path / "firmware", path / "synthesis")
    write_json(path / "resources.json", resources)
    for label, value in resource_rows(resources):
        workspace.console.print(f"  {label}: {value}", highlight=False, soft_wrap=True, markup=False)


def _identity(dataset: Dataset) -> tuple[list[int], list[int], list[int]]:
    return dataset.obs_id.tolist(), dataset.event_id.tolist(), dataset.tel_id.tolist()


def verify(workspace: Workspace) -> None:
    """Compare every backend with the integer interpreter, on every test event and on corner inputs."""
    from trigger_ml.firmware import serialize
    from trigger_ml.firmware.backends import CsimBackend, KerasBackend, OnnxBackend
    from trigger_ml.firmware.hls import HlsProject
    from trigger_ml.firmware.verify import Check
    from trigger_ml.firmware.verify import verify as compare
    from trigger_ml.given import owner_outputs
    from trigger_ml.models.batches import predict
    from trigger_ml.models.files import load_model

    config, path = workspace.config, workspace.path
    network = serialize.load(path / NETWORK)
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    # the slow backends see the first events only: these must be of both classes
    order = np.random.default_rng(config.seed).permutation(splits.test)
    test = dataset[order]
    model = load_model(path / COMPRESSED_MODEL)
    checks = [Check(KerasBackend(model, network)), Check(OnnxBackend(path / EMULATOR, network))]
    if config.firmware.hls is not None:
        project = HlsProject.open(path / "firmware" / "hls")
        checks.append(
            Check(CsimBackend(project, model, network, config.firmware.hls), config.verify.csim_events)
        )
    if config.firmware.rtl is not None:
        from trigger_ml.firmware.rtl import Disturbance, RtlBackend

        for disturbance in (None, Disturbance(gap=0.25, stall=0.25, seed=config.seed)):
            rtl = RtlBackend(network, config.firmware.rtl, disturbance, path / "firmware" / "rtl")
            checks.append(Check(rtl, config.verify.rtl_events))
    if config.model.weights is not None:
        float_logits = owner_outputs(config, path, test.counts)
    else:
        float_logits = predict(load_model(path / FLOAT_MODEL), test.counts, config.events.input.bits)
    result = compare(
        network,
        test.counts,
        checks,
        config.verify,
        seed=config.seed,
        event_ids=[f"{o}/{e}/{t}" for o, e, t in zip(*_identity(test), strict=True)],
        float_logits=float_logits,
        labels=test.label if config.task == "type" else None,
        gamma_efficiency=config.evaluation.gamma_efficiency,
    )
    write_json(path / "verification.json", result.to_dict())
    for name, backend in result.backends.items():
        workspace.console.print(
            f"  {name}: {backend.events} events and {backend.corner_inputs} corner inputs, "
            f"{backend.mismatches} mismatches",
            markup=False,
        )
    result.require_equal()


def evaluate(workspace: Workspace) -> None:
    """Judge the float and the compressed model, the control and the trees on the same test events."""
    from trigger_ml.evaluation.evaluate import evaluate as judge
    from trigger_ml.evaluation.gadf import write_irfs
    from trigger_ml.evaluation.quantities import HEADLINES
    from trigger_ml.evaluation.reference import reference_of
    from trigger_ml.evaluation.robustness import robustness
    from trigger_ml.judging import judged, thrown, write_predictions
    from trigger_ml.rivals import answers, float_ending, given_facts, night_sky_answers, not_judged

    config, path = workspace.config, workspace.path
    sample = load_sample(workspace)
    dataset, splits = sample.dataset, sample.splits
    # hadrons too: a reconstructed response needs their energies and directions
    test = dataset[splits.test]
    outputs, inference = {}, {}
    for name, run in answers(path, config, test, splits.test).items():
        start = time.perf_counter()
        outputs[name] = run()
        inference[name] = {"seconds": time.perf_counter() - start, "events": len(test)}
    events = judged(dataset, splits)
    simulations = thrown(workspace, dataset, splits) if config.task == "type" else None
    evaluation = judge(
        outputs["float"],
        outputs["compressed"],
        events,
        config.evaluation,
        config.seed,
        config.task,
        simulations=simulations,
        others={name: output for name, output in outputs.items() if name not in ("float", "compressed")},
    )
    (path / "irfs").mkdir(exist_ok=True)
    for name, output in outputs.items():
        write_predictions(path / "predictions" / name, test, output, config.task, f"trigger_ml_{name}")
        # where there is no response, evaluation.json says why
        if simulations is not None and name in ("float", "compressed") and "reason" not in evaluation.irf:
            write_irfs(
                path / "irfs" / f"{name}.fits.gz", events, output[:, 0], simulations, config.evaluation
            )
    content = evaluation.to_dict()
    content["reference"] = reference_of(content, HEADLINES[config.task][0], float_ending(path))
    content["not_judged"] = not_judged(path)
    if (given := given_facts(path)) is not None:
        content["given"] = given
    if config.task == "type":
        night = night_sky_answers(path, config, sample.night_test)
        content["robustness"] = robustness(
            outputs, events, test.conditions, config.evaluation, config.seed, night
        )
    write_json(path / "evaluation.json", {**content, "inference": inference})


def report(workspace: Workspace) -> None:
    """Figures and the page."""
    from trigger_ml.report.page import write_report

    write_report(workspace.path)


def export_projects(directory: Path, target: Path, console: Console) -> None:
    """Copy a run's firmware projects, with all figures, to a folder of their own; replaces an older one."""
    from trigger_ml.summary import firmware_readme, print_firmware

    with atomic_directory(target) as folder:
        shutil.copytree(directory / "firmware", folder, dirs_exist_ok=True)
        shutil.copytree(directory / "synthesis", folder / "synthesis")
        for name in ("resources.json", "verification.json"):
            shutil.copy2(directory / name, folder / name)
        write_text(folder / "README.md", firmware_readme(directory))
    print_firmware(directory, console)
    console.print(f"projects in {target}", highlight=False, soft_wrap=True, markup=False)
