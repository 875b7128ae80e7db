"""What tests of response files share."""

import astropy.units as u
import pytest


def _sensitivity(irfs):
    from astropy.coordinates import SkyCoord
    from gammapy.data import FixedPointingInfo, Observation
    from gammapy.datasets import SpectrumDataset, SpectrumDatasetOnOff
    from gammapy.estimators import SensitivityEstimator
    from gammapy.makers import SpectrumDatasetMaker
    from gammapy.maps import MapAxis, RegionGeom
    from regions import CircleSkyRegion

    pointing = SkyCoord(0 * u.deg, 0 * u.deg, frame="icrs")
    observation = Observation.create(
        pointing=FixedPointingInfo(fixed_icrs=pointing), livetime=50 * u.h, irfs=irfs
    )
    reco = MapAxis.from_energy_bounds(1 * u.TeV, 30 * u.TeV, nbin=5)
    true = MapAxis.from_energy_bounds(0.6 * u.TeV, 45 * u.TeV, nbin=12, name="energy_true")
    region = CircleSkyRegion(pointing.directional_offset_by(0 * u.deg, 0.5 * u.deg), 0.2 * u.deg)
    geometry = RegionGeom.create(region, axes=[reco])
    empty = SpectrumDataset.create(geom=geometry, energy_axis_true=true)
    maker = SpectrumDatasetMaker(selection=["exposure", "edisp", "background"], containment_correction=True)
    dataset = maker.run(empty, observation)
    both = SpectrumDatasetOnOff.from_spectrum_dataset(dataset=dataset, acceptance=1, acceptance_off=5)
    return SensitivityEstimator(gamma_min=10, n_sigma=5, bkg_syst_fraction=0.05).run(both)


@pytest.fixture
def sensitivity_with_gammapy():
    """The differential sensitivity of 50 hours that gammapy computes from responses, by itself."""
    reason = "gammapy 2.1 cannot be imported beside regions 0.12 or later"
    pytest.importorskip("gammapy.datasets", reason=reason, exc_type=ImportError)
    return _sensitivity
