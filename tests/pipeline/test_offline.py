"""A model of CTLearn's with attention, off-line: pruned, quantized, fine-tuned, sized and judged."""

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.special import logit

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig, ParticleConfig, SimulationConfig
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.evaluation import EVALUATION
from trigger_ml.core.documents.model import MODEL_SUMMARY
from trigger_ml.core.documents.obstacles import OBSTACLES
from trigger_ml.core.documents.sizes import SIZES
from trigger_ml.core.errors import ConfigError, InputError, MappingError
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.predictions import read_answers
from trigger_ml.firmware.extract import extract
from trigger_ml.models.batches import predict
from trigger_ml.models.files import load_model
from trigger_ml.pipeline.emulators import open_emulator
from trigger_ml.pipeline.execute import execute, is_done_until
from trigger_ml.pipeline.given import prepare
from trigger_ml.pipeline.sample import load_sample
from trigger_ml.pipeline.workspace import Workspace
from trigger_ml.simulation.production import simulate

QUIET = Console(quiet=True)
LITERT = ("dynamic", "float16", "int8")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CTLearn's own SingleCNN, with the attention that it has by default."""
    from ctlearn.core.model import SingleCNN

    layer = {"kernel_size": 3, "number": 1}
    model = SingleCNN(
        input_shape=(48, 48, 2),
        tasks=["type"],
        architecture=[{"filters": 4, **layer}, {"filters": 8, **layer}],
        pooling_parameters={"size": 4, "strides": 4},
        attention_reduction_ratio=2,
        head_layers={"type": [8, 2]},
    ).model
    path = tmp_path_factory.mktemp("ctlearn") / "ctlearn_model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    particles = {
        "gamma": ParticleConfig(events=150),
        "proton": ParticleConfig(events=150, energy_min=0.5, energy_max=300, view_cone=8),
    }
    config = SimulationConfig(particles=particles, library_scale=0.02, workers=1)
    return simulate(config, tmp_path_factory.mktemp("events"), seed=5, progress=False)


@pytest.fixture(scope="module")
def config(model_file: Path) -> ExperimentConfig:
    """Of no events yet: a model is looked at before they are."""
    return ExperimentConfig.model_validate(
        {
            "name": "attention",
            "events": {
                "min_size": 50,
                "input": {
                    "channels": ["image", "peak_time"],
                    "bits": 16,
                    "pedestal": "none",
                    "charge_lsb": 0.05,
                    "time_lsb": 0.05,
                },
            },
            "model": {"weights": str(model_file), "input": "photo-electrons", "input_loss": 1.0},
            "train": {"tensorboard": False},
            "compression": {
                "epochs": 1,
                "batch_size": 16,
                "pruning": {"sparsity": 0.8, "epochs": 1},
                "post_training": LITERT,
            },
            "firmware": None,
            "evaluation": {"bootstrap": 20},
        }
    )


@pytest.fixture(scope="module")
def judged(config: ExperimentConfig, files: list[Path]) -> ExperimentConfig:
    events = config.events.model_copy(update={"files": tuple(str(path) for path in files)})
    return config.model_copy(update={"events": events})


@pytest.fixture(scope="module")
def run(judged: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return execute(judged, tmp_path_factory.mktemp("offline") / "run", console=QUIET).path


@pytest.mark.slow
def test_it_is_pruned_judged_and_sized_without_firmware(run: Path) -> None:
    for gone in (layout.NETWORK, layout.EMULATOR, layout.FIRMWARE, layout.VERIFICATION, layout.RESOURCES):
        assert not (run / gone).exists()
    compressed = read(run / layout.MODEL_SUMMARY, MODEL_SUMMARY).compressed
    pruned = [layer for layer in compressed.sparsity_by_layer if layer.asked]
    assert {layer.asked for layer in pruned} >= {0.8}
    for layer in pruned:
        assert layer.sparsity >= layer.asked - 1 / layer.weights
    judged = read(run / layout.EVALUATION, EVALUATION)
    assert {"control", "trees", *(f"litert_{scheme}" for scheme in LITERT)} <= set(judged.comparisons)
    assert judged.given is not None
    sizes = read(run / layout.SIZES, SIZES).files
    assert sizes["model/float/given.keras"].bytes == (run / "model/float/given.keras").stat().st_size
    eighth = sizes["model/litert/int8.tflite"].bytes
    assert eighth < sizes["model/litert/float16.tflite"].bytes < sizes["model/float/model.h5"].bytes


@pytest.mark.slow
def test_predictions_are_those_of_the_quantized_model(run: Path, judged: ExperimentConfig) -> None:
    model = load_model(run / layout.COMPRESSED_MODEL)
    sample = load_sample(Workspace(judged, RunDirectory(run), QUIET))
    test = sample.dataset[sample.splits.test]
    gammas = test.file_index == 0
    expected = predict(model, test.counts[gammas], 16)[:, 0]
    table = read_answers(run / "predictions/compressed/gamma.dl2.h5", "type", "trigger_ml_compressed")
    found = dict(zip(table["event_id"].tolist(), table["prediction"], strict=True))
    names = test.event_id[gammas].tolist()
    np.testing.assert_allclose([logit(found[name]) for name in names], expected, atol=1e-4)


@pytest.mark.slow
def test_what_stands_between_it_and_firmware_is_said(run: Path, config: ExperimentConfig) -> None:
    obstacles = read(run / layout.OBSTACLES, OBSTACLES)
    model = load_model(run / layout.COMPRESSED_MODEL)
    input_type = config.events.input.dtype
    if obstacles.layers:
        with pytest.raises(MappingError) as refused:
            extract(model, input_type=input_type)
        assert obstacles.layers[0].layer in refused.value.what
    else:
        extract(model, input_type=input_type)
    page = (run / layout.PAGE).read_text()
    assert obstacles.sentence[1:] in page
    for item in obstacles.layers:
        assert item.layer in page


def test_firmware_is_refused_before_anything_is_made(config: ExperimentConfig, tmp_path: Path) -> None:
    for goal in ("build", "synthesize", "verify"):
        with pytest.raises(ConfigError, match="is null: this experiment ends off-line"):
            execute(config, tmp_path / "other", goal, console=QUIET)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_a_run_without_firmware_is_whole_and_is_not_emulated(run: Path) -> None:
    with pytest.raises(InputError, match="made with `firmware: null`"):
        open_emulator(run)
    assert is_done_until(RunDirectory(run), "report")


def test_a_model_of_another_input_is_one_line(config: ExperimentConfig) -> None:
    events = config.events.model_copy(
        update={"input": config.events.input.model_copy(update={"channels": ("image",)})}
    )
    with pytest.raises(ConfigError, match=r"has 2 channels, `events\.input\.channels` names 1"):
        prepare(config.model_copy(update={"events": events}))


def test_metres_of_the_camera_are_no_degrees(config: ExperimentConfig, tmp_path: Path) -> None:
    from ctlearn.core.model import SingleCNN

    for task, refused in (("cameradirection", True), ("skydirection", False)):
        model = SingleCNN(
            input_shape=(48, 48, 2),
            tasks=[task],
            architecture=[{"filters": 2, "kernel_size": 3, "number": 1}],
            attention_mechanism=None,
            head_layers={task: [2]},
        ).model
        model.save(tmp_path / f"{task}.keras")
        given = config.model.model_copy(update={"weights": str(tmp_path / f"{task}.keras")})
        other = config.model_copy(update={"model": given, "task": "direction"})
        if refused:
            with pytest.raises(ConfigError, match="cameradirection: is in metres of the camera"):
                prepare(other)
        else:
            assert prepare(other).model.output_shape == (None, 2)
