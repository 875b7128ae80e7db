"""A stand-in for air-shower simulation: toy images with the right geometry and overlapping classes.

**No physics result may be drawn from it.** It exists so that the whole chain can be run and tested in
minutes. Images are ctapipe's toy model (`ctapipe.image.toymodel.SkewedGaussian`, a skewed Gaussian along the
shower), placed by the real geometry of source, core and telescope: gammas slim and pointing back at their
direction, hadrons wider, split into sub-showers, from directions all over the view cone. Light yield, shower
height and image size follow rough scaling laws with energy and distance, named below; night-sky light and
charge resolution blur small images, so that classes overlap most at low energy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ctapipe.instrument import SubarrayDescription
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from scipy.sparse import csr_matrix, identity
from scipy.special import ndtr

from trigger_ml.core.config import ParticleConfig, SimulationConfig
from trigger_ml.events.digicam import FOCAL_LENGTH, sst1m_subarray
from trigger_ml.events.dl1 import SimulatedRun, write_dl1
from trigger_ml.events.table import PRIMARY_IDS, EventTable, Truth, concatenate

Array = NDArray[np.float64]

# photo-electrons of a 1 TeV gamma within LIGHT_POOL metres; the yield grows a little faster than the energy
YIELD = 200.0
YIELD_POWER = 1.05
LIGHT_POOL = 120.0
POOL_TAIL = 90.0
# fraction of a hadron's energy that makes light, and how much it varies from shower to shower
HADRON_YIELD = 0.45
# height of the shower maximum above the telescope in metres, at 1 TeV and per factor e of energy
MAXIMUM_HEIGHT = 7500.0
HEIGHT_SLOPE = 450.0
# integration window in nanoseconds: seven samples
WINDOW = 28.0
# charge resolution of one photo-electron, electronic noise of one window (both photo-electrons)
SINGLE_SPREAD = 0.15
ELECTRONIC_NOISE = 0.6
# photo-electrons that a pixel and its neighbours must hold together
TRIGGER_THRESHOLD = 26.0
# images that cannot trigger are not drawn
LEAST_YIELD = 32.0
SHOWERS_PER_BATCH = 200


@dataclass
class _Tally:
    """What was thrown, for the run's record."""

    energy_edges: Array
    core_edges: Array
    n_showers: int = 0
    thrown: Array = field(init=False)

    def __post_init__(self) -> None:
        self.thrown = np.zeros((len(self.energy_edges) - 1, len(self.core_edges) - 1))


@dataclass(frozen=True, eq=False)
class _Showers:
    """Shower uses and what the stand-in draws for them; arrays of shape (n,) unless told."""

    energy: Array
    alt: Array
    az: Array
    core: Array  # (n, 3)
    height: Array
    yield_factor: Array
    length: Array
    width: Array
    x_max: Array
    h_first_int: Array
    parts: Array  # (n, parts): fraction of the light in each sub-shower
    shifts: Array  # (n, parts, 2): sub-shower's place along and across the axis, degrees
    widths: Array  # (n, parts): factor on the width

    def __getitem__(self, rows: NDArray[np.int64]) -> "_Showers":
        return _Showers(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _direction(alt: Array, az: Array) -> Array:
    """Unit vectors in the ground frame (x north, y west, z up), shape (n, 3)."""
    return np.stack([np.cos(alt) * np.cos(az), -np.cos(alt) * np.sin(az), np.sin(alt)], axis=-1)


def _camera_axes(alt: float, az: float) -> tuple[Array, Array, Array]:
    """Unit vectors along the pointing, towards larger altitude, and towards larger azimuth."""
    lift = np.array([-np.sin(alt) * np.cos(az), np.sin(alt) * np.sin(az), np.cos(alt)])
    turn = np.array([-np.sin(az), -np.cos(az), 0.0])
    return _direction(np.asarray(alt), np.asarray(az)), lift, turn


def _around(alt: float, az: float, offset: Array, angle: Array) -> tuple[Array, Array]:
    """Altitude and azimuth of directions at an offset (radians) and position angle from a centre."""
    forward, lift, turn = _camera_axes(alt, az)
    vector = (
        np.cos(offset)[:, np.newaxis] * forward
        + (np.sin(offset) * np.cos(angle))[:, np.newaxis] * lift
        + (np.sin(offset) * np.sin(angle))[:, np.newaxis] * turn
    )
    return np.arcsin(vector[:, 2]), np.arctan2(-vector[:, 1], vector[:, 0]) % (2 * np.pi)


def power_law(rng: np.random.Generator, n: int, low: float, high: float, index: float) -> Array:
    """Energies of a power law ``E**index`` between two limits, by inversion."""
    uniform = rng.uniform(size=n)
    if np.isclose(index, -1.0):
        return np.asarray(low * (high / low) ** uniform)
    power = index + 1
    return np.asarray((low**power + uniform * (high**power - low**power)) ** (1 / power))


def skewed_gaussian(along: Array, across: Array, length: Array, width: Array, skewness: Array) -> Array:
    """Density of ctapipe's ``SkewedGaussian`` toy model, for many images at once.

    Parameters
    ----------
    along, across : numpy.ndarray, shape (n, pixels)
        Pixel positions from the image's centre, along and across its axis.
    length, width : numpy.ndarray, shape (n,)
        Standard deviations, same unit.
    skewness : numpy.ndarray, shape (n,)
        Skewness along the axis, below 0.995 in size.

    Returns
    -------
    numpy.ndarray, shape (n, pixels)
        Per unit area.
    """
    # moments of the skew normal distribution, inverted (A. Azzalini, Scand. J. Stat. 12 (1985) 171)
    power = np.abs(skewness) ** (2 / 3)
    delta = np.sign(skewness) * np.sqrt(np.pi / 2 * power / (power + ((4 - np.pi) / 2) ** (2 / 3)))
    slope = delta / np.sqrt(1 - delta**2)
    scale = length / np.sqrt(1 - 2 * delta**2 / np.pi)
    shift = -scale * delta * np.sqrt(2 / np.pi)
    z = (along - shift[:, np.newaxis]) / scale[:, np.newaxis]
    t = across / width[:, np.newaxis]
    norm = 1 / (np.pi * scale * width)
    return np.asarray(norm[:, np.newaxis] * np.exp(-(z**2 + t**2) / 2) * ndtr(slope[:, np.newaxis] * z))


class _Generator:
    """Draws the events of one kind of particle."""

    def __init__(
        self,
        name: str,
        particle: ParticleConfig,
        config: SimulationConfig,
        subarray: SubarrayDescription,
        seed: int,
    ) -> None:
        self.primary_id = PRIMARY_IDS[name]
        self.hadron = name not in ("gamma", "electron")
        self.particle = particle
        self.config = config
        self.rng = np.random.default_rng([seed, self.primary_id])
        self.alt = np.deg2rad(90 - config.zenith)
        self.az = np.deg2rad(config.azimuth)
        self.axes = _camera_axes(self.alt, self.az)
        geometry = subarray.tel[1].camera.geometry
        scale = np.rad2deg(1 / FOCAL_LENGTH)
        # ctapipe's camera frame: x towards larger altitude, y towards larger azimuth
        self.x = geometry.pix_x.to_value("m") * scale
        self.y = geometry.pix_y.to_value("m") * scale
        self.area = float(geometry.pix_area[0].to_value("m2")) * scale**2
        self.radius = float(np.hypot(self.x, self.y).max())
        self.flower = csr_matrix(geometry.neighbor_matrix_sparse, dtype=np.float32) + identity(len(self.x))
        self.positions = [np.asarray(position) for position in config.telescopes]
        self.tally = _Tally(
            energy_edges=np.geomspace(particle.energy_min, particle.energy_max, 101),
            core_edges=np.linspace(0, particle.max_core_distance, 101),
        )

    def batches(self) -> Iterator[EventTable]:
        """Tables of triggered events until the configured number is reached."""
        wanted = self.particle.events
        while wanted > 0:
            first = self.tally.n_showers
            showers, shower, use = self._draw(SHOWERS_PER_BATCH)
            table = self._observe(showers, shower + first, use)
            n_showers = SHOWERS_PER_BATCH
            if len(table) >= wanted:
                table = table[:wanted]
                assert table.truth is not None
                n_showers = int(table.truth.shower_id[-1]) - first + 1
            thrown = shower < n_showers
            distance = np.hypot(*showers.core[thrown, :2].T)
            self.tally.thrown += np.histogram2d(
                showers.energy[thrown], distance, (self.tally.energy_edges, self.tally.core_edges)
            )[0]
            self.tally.n_showers += n_showers
            wanted -= len(table)
            yield table

    def run(self) -> SimulatedRun:
        """Record of what was thrown."""
        return SimulatedRun(
            obs_id=self.primary_id + 1,
            n_showers=self.tally.n_showers,
            n_reuse=self.particle.uses,
            energy_min=self.particle.energy_min,
            energy_max=self.particle.energy_max,
            spectral_index=self.particle.spectral_index,
            max_core_distance=self.particle.max_core_distance,
            pointing_alt=self.alt,
            pointing_az=self.az,
            view_cone=self.particle.view_cone,
            energy_edges=self.tally.energy_edges,
            core_edges=self.tally.core_edges,
            thrown=self.tally.thrown,
        )

    def _draw(self, n: int) -> tuple[_Showers, NDArray[np.int64], NDArray[np.int64]]:
        """Showers and their uses, one row for each use."""
        rng, particle = self.rng, self.particle
        energy = power_law(rng, n, particle.energy_min, particle.energy_max, particle.spectral_index)
        cone = np.deg2rad(particle.view_cone)
        offset = np.arccos(rng.uniform(np.cos(cone), 1, n))
        if particle.view_cone == 0:
            offset = np.full(n, np.deg2rad(self.config.source_offset))
        alt, az = _around(self.alt, self.az, offset, rng.uniform(0, 2 * np.pi, n))
        log_energy = np.log(energy)
        first = rng.exponential(1.0, n)
        height = MAXIMUM_HEIGHT - HEIGHT_SLOPE * log_energy + 900 * (rng.normal(size=n) - 0.5 * first)
        height = np.maximum(height, 2500.0)
        if self.hadron:
            share = rng.beta(2.2, 2.6, n) * 2 * HADRON_YIELD
            fluctuation = share * energy**0.05
            n_parts = 4
            parts = rng.dirichlet(np.array([3.0, 1.0, 0.6, 0.4]), n)
            spread = rng.gamma(2.0, 0.11, n)[:, np.newaxis, np.newaxis]
            shifts = spread * rng.normal(size=(n, n_parts, 2)) * np.array([1.4, 1.0])
            shifts[:, 0] *= 0.3
            widths = rng.lognormal(0.15, 0.3, (n, n_parts))
            length = 0.26 * rng.lognormal(0.05, 0.30, n)
            width = 0.095 * rng.lognormal(0.25, 0.35, n)
        else:
            fluctuation = rng.lognormal(0.0, 0.18, n)
            parts, shifts, widths = np.ones((n, 1)), np.zeros((n, 1, 2)), np.ones((n, 1))
            length = 0.26 * rng.lognormal(0.0, 0.20, n)
            width = 0.085 * rng.lognormal(0.0, 0.20, n)
        shower = np.repeat(np.arange(n), particle.uses)
        use = np.tile(np.arange(particle.uses), n)
        radius = particle.max_core_distance * np.sqrt(rng.uniform(size=len(shower)))
        angle = rng.uniform(0, 2 * np.pi, len(shower))
        core = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(len(shower))], axis=1)
        showers = _Showers(
            energy=energy[shower],
            alt=alt[shower],
            az=az[shower],
            core=core,
            height=height[shower],
            yield_factor=fluctuation[shower],
            length=length[shower],
            width=width[shower],
            x_max=(1030 * np.exp(-height / 8000))[shower],
            h_first_int=(18_000 + 4000 * (1 - first))[shower],
            parts=parts[shower],
            shifts=shifts[shower],
            widths=widths[shower],
        )
        return showers, shower, use

    def _observe(self, showers: _Showers, shower: NDArray[np.int64], use: NDArray[np.int64]) -> EventTable:
        """What the telescopes record, triggered images only."""
        tables = []
        for tel_id, position in enumerate(self.positions, start=1):
            rows, centre, source, light = self._project(showers, position)
            signal, time = self._expected(showers[rows], centre, source, light)
            photons = self.rng.poisson(signal)
            triggered = (self.flower @ photons.T).max(axis=0) >= TRIGGER_THRESHOLD
            rows, photons, time = rows[triggered], photons[triggered], time[triggered]
            tables.append(self._record(tel_id, showers[rows], shower[rows], use[rows], photons, time))
        joined = tables[0]
        if len(tables) > 1:
            joined = concatenate(tables)
            joined = joined[np.lexsort((joined.tel_id, joined.event_id))]
        return joined

    def _project(self, showers: _Showers, position: Array) -> tuple[NDArray[np.int64], Array, Array, Array]:
        """Rows that can trigger; image centre and source in the camera (degrees); photo-electrons."""
        axis = _direction(showers.alt, showers.az)
        offset = position - showers.core
        distance = np.linalg.norm(np.cross(offset, axis), axis=1)
        along = showers.height / np.sin(showers.alt)
        maximum = along[:, np.newaxis] * axis - offset

        def camera(vector: Array) -> Array:
            forward, lift, turn = (vector @ part for part in self.axes)
            return np.rad2deg(np.stack([lift / forward, turn / forward], axis=1))

        centre, source = camera(maximum), camera(axis)
        pool = np.where(distance < LIGHT_POOL, 1.0, np.exp(-(distance - LIGHT_POOL) / POOL_TAIL))
        light = YIELD * showers.energy**YIELD_POWER * showers.yield_factor * pool
        inside = np.hypot(*centre.T) < self.radius + 1.0
        rows = np.flatnonzero(inside & (light > LEAST_YIELD))
        return rows, centre[rows], source[rows], light[rows]

    def _expected(self, showers: _Showers, centre: Array, source: Array, light: Array) -> tuple[Array, Array]:
        """Mean photo-electrons and arrival time of each pixel, shape (n, pixels)."""
        away = centre - source
        distance = np.hypot(*away.T)
        psi = np.arctan2(away[:, 1], away[:, 0])
        cos, sin = np.cos(psi)[:, np.newaxis], np.sin(psi)[:, np.newaxis]
        dx, dy = self.x - centre[:, :1], self.y - centre[:, 1:]
        along, across = dx * cos + dy * sin, -dx * sin + dy * cos
        # images grow with energy, and are foreshortened when the core is near
        growth = showers.energy**0.06
        length = showers.length * growth * (0.55 + 0.45 * np.minimum(distance, 1.5))
        length = np.maximum(length, showers.width * growth)
        signal = np.zeros_like(along)
        skewness = np.clip(0.5 * distance, 0.05, 0.6)
        for part in range(showers.parts.shape[1]):
            shift = showers.shifts[:, part]
            signal += (light * showers.parts[:, part] * self.area)[:, np.newaxis] * skewed_gaussian(
                along - shift[:, :1],
                across - shift[:, 1:],
                length,
                showers.width * growth * showers.widths[:, part],
                skewness,
            )
        # photons from the shower's tail come later the farther the core is
        slope = 6.0 * (distance - 0.6)
        return signal, 60 + slope[:, np.newaxis] * along

    def _record(
        self,
        tel_id: int,
        showers: _Showers,
        shower: NDArray[np.int64],
        use: NDArray[np.int64],
        photons: NDArray[np.int64],
        time: Array,
    ) -> EventTable:
        """Charge and peak time after night-sky light and the readout."""
        rng, n = self.rng, len(shower)
        sky = self.config.nsb_rate * WINDOW
        total = photons + rng.poisson(sky, photons.shape)
        spread = np.sqrt(SINGLE_SPREAD**2 * total + ELECTRONIC_NOISE**2)
        image = total - sky + spread * rng.standard_normal(photons.shape)
        jitter = rng.normal(0, 1, photons.shape) * 4 / np.sqrt(np.maximum(photons, 1))
        lit = photons > 2 * np.sqrt(sky + 1)
        peak_time = np.where(lit, np.clip(time + jitter, 0, 200), rng.uniform(0, 200, photons.shape))
        return EventTable(
            obs_id=np.full(n, self.primary_id + 1, dtype=np.int64),
            event_id=100 * (shower + 1) + use,
            tel_id=np.full(n, tel_id, dtype=np.int64),
            image=image.astype(np.float32),
            peak_time=peak_time.astype(np.float32),
            pointing_alt=np.full(n, self.alt),
            pointing_az=np.full(n, self.az),
            truth=Truth(
                primary_id=np.full(n, self.primary_id, dtype=np.int64),
                energy=showers.energy,
                alt=showers.alt,
                az=showers.az,
                core_x=showers.core[:, 0],
                core_y=showers.core[:, 1],
                h_first_int=showers.h_first_int,
                x_max=showers.x_max,
                shower_id=shower,
            ),
            true_image=photons.astype(np.int32),
        )


def simulate(config: SimulationConfig, directory: Path, *, seed: int, progress: bool = True) -> list[Path]:
    """Make the stand-in events, one ctapipe DL1 file for each particle.

    Parameters
    ----------
    config : SimulationConfig
        ``uses`` must not exceed 100.
    directory : pathlib.Path
        Where ``<particle>.dl1.h5`` are written, atomically.
    seed : int
        The same seed gives the same events.
    progress : bool
        Show a progress bar when on a terminal.

    Returns
    -------
    list of pathlib.Path
        In the order of the configuration's particles.
    """
    subarray = sst1m_subarray(config.telescopes)
    paths = []
    console = Console(stderr=True)
    with Progress(console=console, disable=not (progress and console.is_terminal), transient=True) as bar:
        for name, particle in config.particles.items():
            generator = _Generator(name, particle, config, subarray, seed)
            task = bar.add_task(f"stand-in {name}", total=particle.events)

            def counted(generator: _Generator = generator, task: int = task) -> Iterator[EventTable]:
                for table in generator.batches():
                    bar.advance(task, len(table))  # type: ignore[arg-type]
                    yield table

            def runs(generator: _Generator = generator) -> list[SimulatedRun]:
                return [generator.run()]

            path = directory / f"{name}.dl1.h5"
            write_dl1(
                path,
                counted(),
                subarray,
                runs=runs,
                activity="trigger-ml stand-in simulation (toy images, no physics)",
            )
            paths.append(path)
    return paths
