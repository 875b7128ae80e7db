"""CTLearn's own tools on our files: their ThinResNet at 96 x 96 is taken in, and both sides say the same."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ctapipe.io import read_table
from ctapipe.io.hdf5dataformat import DL2_TEL_PARTICLETYPE_GROUP
from rich.console import Console
from scipy.special import expit

from trigger_ml.core import layout
from trigger_ml.core.config import ExperimentConfig, ParticleConfig, SimulationConfig, load_experiment
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.evaluation import EVALUATION
from trigger_ml.core.documents.model import MODEL_SUMMARY
from trigger_ml.core.run import RunDirectory
from trigger_ml.events.again import charges
from trigger_ml.models.files import open_model
from trigger_ml.pipeline.execute import execute
from trigger_ml.pipeline.given import owner_input
from trigger_ml.pipeline.sample import load_sample
from trigger_ml.pipeline.workspace import Workspace
from trigger_ml.simulation.production import simulate

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "configs" / "ctlearn-resnet.yaml"
QUIET = Console(quiet=True)


def tool(name: str, *arguments: str) -> None:
    program = Path(sys.executable).parent / name
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    ended = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    particles = {
        "gamma": ParticleConfig(events=60),
        "proton": ParticleConfig(events=60, energy_min=0.5, energy_max=300, view_cone=8),
    }
    config = SimulationConfig(particles=particles, library_scale=0.02, workers=1)
    return simulate(config, tmp_path_factory.mktemp("events"), seed=5, progress=False)


@pytest.fixture(scope="module")
def model_file(files: list[Path]) -> Path:
    """As CTLearn trains it by default, for one epoch."""
    folder = files[0].parent / "ctlearn"
    tool(
        "ctlearn-train-model", f"--signal={files[0].parent}", "--pattern-signal=gamma.dl1.h5",
        f"--background={files[1].parent}", "--pattern-background=proton.dl1.h5", "--reco=type",
        f"--output={folder}", "--TrainCTLearnModel.n_epochs=1", "--TrainCTLearnModel.batch_size=8",
        "--TrainCTLearnModel.validation_split=0.2",
    )  # fmt: skip
    return folder / "ctlearn_model.keras"


@pytest.fixture(scope="module")
def config(files: list[Path], model_file: Path) -> ExperimentConfig:
    """The example's, of few events."""
    values = load_experiment(EXAMPLE).model_dump()
    values["events"] |= {"files": [str(path) for path in files], "max_events": 24}
    values["model"] |= {"weights": str(model_file), "input_loss": 1.0}
    values["compression"] |= {"epochs": 1, "batch_size": 8}
    values["compression"]["pruning"] |= {"epochs": 1}
    values["evaluation"] |= {"bootstrap": 20}
    return ExperimentConfig.model_validate(values)


def test_thin_resnet_is_pruned_to_80_percent_and_scored(config: ExperimentConfig, tmp_path: Path) -> None:
    run = execute(config, tmp_path / "run", console=QUIET).path
    compressed = read(run / layout.MODEL_SUMMARY, MODEL_SUMMARY).compressed
    assert compressed.parameters is not None
    assert compressed.parameters > 6_000_000
    assert compressed.sparsity is not None
    assert compressed.sparsity >= 0.8
    judged = read(run / layout.EVALUATION, EVALUATION)
    assert {"control", "litert_dynamic", "litert_float16", "litert_int8"} <= set(judged.comparisons)
    assert (run / layout.PAGE).exists()


def test_ctlearns_tool_says_the_same_of_the_same_events(
    config: ExperimentConfig, files: list[Path], model_file: Path, tmp_path: Path
) -> None:
    output = tmp_path / "gamma.dl2.h5"
    tool(
        "ctlearn-predict-mono-model", f"--input_url={files[0]}", f"--type_model={model_file}",
        f"--output={output}", "--no-dl2-subarray", "--no-dl1-images", "--no-true-images",
        # CTLearn 0.10 answers otherwise for the events of an incomplete last batch
        "--PredictCTLearnModel.batch_size=1",
    )  # fmt: skip
    table = read_table(output, f"{DL2_TEL_PARTICLETYPE_GROUP}/CTLearnClassifier/tel_001")
    valid = table[table["CTLearnClassifier_tel_is_valid"]]
    keys = zip(valid["obs_id"].tolist(), valid["event_id"].tolist(), strict=True)
    theirs = dict(zip(keys, valid["CTLearnClassifier_tel_prediction"].tolist(), strict=True))
    execute(config, tmp_path / "run", "simulate", console=QUIET)
    dataset = load_sample(Workspace(config, RunDirectory(tmp_path / "run"), QUIET)).dataset
    model, owner = open_model(model_file), owner_input(config.model.input, config.events.input)  # type: ignore[arg-type]
    compared = 0
    for rows, images in charges(dataset, config.events):
        gammas = dataset.file_index[rows] == 0
        mine = expit(model.outputs(owner.of_charges(images[gammas]))[:, 0])
        for row, gammaness in zip(rows[gammas], mine, strict=True):
            key = (int(dataset.obs_id[row]), int(dataset.event_id[row]))
            if key in theirs:
                assert theirs[key] == pytest.approx(gammaness, abs=1e-4)
                compared += 1
    # the quality cuts of both sides agree for most
    assert compared > 0.8 * min(len(theirs), int((dataset.file_index == 0).sum()))
    assert np.std(list(theirs.values())) > 0
