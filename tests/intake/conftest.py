"""A small model, made firmware of once."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from trigger_ml.core.keras2 import tf_keras

# what the tests here share
sys.path.insert(0, str(Path(__file__).parent))

from brought import Case, jets, settings


@pytest.fixture(scope="session")
def quiet() -> Console:
    return Console(quiet=True)


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory, quiet: Console) -> Case:
    from trigger_ml.intake.deliver import deliver

    folder = tmp_path_factory.mktemp("delivered")
    tf_keras.utils.set_random_seed(1)
    model = jets()
    model.save(folder / "jets.h5", save_format="h5")
    # multiples of 1/64 in [-8, 8): exactly of fixed<10,4>
    values = np.random.default_rng(0).integers(-512, 512, (50, 6)) / 64
    values[0] = -8
    np.save(folder / "x.npy", values.astype(np.float32))
    deliver(folder / "jets.h5", folder / "out", settings(), quiet, inputs=folder / "x.npy")
    return Case(folder / "jets.h5", model, folder / "x.npy", values, folder / "out")
