"""Small event files that the tests of this room share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.core.particles import PRIMARY_IDS
from trigger_ml.events.table import EventTable, Truth
from trigger_ml.simulation.production import simulate


@pytest.fixture(scope="session")
def event_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A gamma and a proton file of 120 images each, one telescope."""
    particles = {
        "gamma": ParticleConfig(events=120),
        "proton": ParticleConfig(events=120, energy_min=0.5, energy_max=300, view_cone=8),
    }
    config = SimulationConfig(particles=particles, library_scale=0.02, workers=1)
    return simulate(config, tmp_path_factory.mktemp("events"), seed=5, progress=False)


@pytest.fixture
def make_events() -> Callable[..., EventTable]:
    """Random events, `per_shower` of each shower, alternating over the telescopes."""

    def make(
        n: int = 40,
        *,
        n_pixels: int = 1296,
        particle: str = "gamma",
        obs_id: int = 7,
        per_shower: int = 4,
        tel_ids: tuple[int, ...] = (1,),
        seed: int = 0,
        samples: int = 0,
    ) -> EventTable:
        rng = np.random.default_rng(seed)
        array_event = np.repeat(np.arange(-(-n // len(tel_ids))), len(tel_ids))[:n]
        shower = array_event // per_shower
        per = rng.uniform(size=(n, 5))
        image = rng.normal(0, 2, (n, n_pixels)).astype(np.float32)
        image[:, : n_pixels // 20] += 30
        return EventTable(
            obs_id=np.full(n, obs_id),
            event_id=100 * shower + array_event % per_shower,
            tel_id=np.tile(tel_ids, n)[:n],
            image=image,
            peak_time=rng.uniform(0, 200, (n, n_pixels)).astype(np.float32),
            pointing_alt=np.full(n, 1.2),
            pointing_az=np.full(n, 0.3),
            truth=Truth(
                primary_id=np.full(n, PRIMARY_IDS[particle]),
                energy=per[shower, 0] + 0.5,
                alt=1.2 + 0.01 * per[shower, 1],
                az=0.3 + 0.01 * per[shower, 2],
                core_x=100 * per[array_event, 3],
                core_y=100 * per[array_event, 4],
                h_first_int=20_000 + 1000 * per[shower, 0],
                x_max=300 + 10 * per[shower, 1],
                shower_id=shower,
            ),
            waveform=rng.normal(size=(n, n_pixels, samples)).astype(np.float32) if samples else None,
            true_image=rng.poisson(0.1, (n, n_pixels)).astype(np.int32),
            event_type=np.full(n, 32),
        )

    return make
