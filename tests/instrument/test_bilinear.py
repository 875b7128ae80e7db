from copy import deepcopy

import numpy as np
from dl1_data_handler.image_mapper import BilinearMapper

from trigger_ml.instrument.bilinear import bilinear_map
from trigger_ml.instrument.digicam import digicam_geometry


def test_agrees_with_the_mapper_image_by_image(digicam_bilinear):
    mapper = BilinearMapper(geometry=deepcopy(digicam_geometry()))
    images = np.random.default_rng(0).uniform(0, 50, (3, 1296)).astype(np.float32)
    ours = digicam_bilinear.to_grid(images)
    assert ours.shape == (3, mapper.image_shape, mapper.image_shape)
    for one, image in zip(ours, images, strict=True):
        np.testing.assert_allclose(one, mapper.map_image(image[:, np.newaxis])[..., 0], rtol=1e-5)


def test_leaves_the_geometry_as_it_was(digicam_bilinear):
    geometry = digicam_geometry()
    before = geometry.pix_x.copy()
    again = bilinear_map(geometry)
    assert (geometry.pix_x == before).all()
    assert again.same_layout(digicam_bilinear)


def test_mask_is_where_a_flat_image_shows(digicam_bilinear):
    flat = digicam_bilinear.to_grid(np.ones((1, 1296)))[0]
    np.testing.assert_array_equal(digicam_bilinear.mask, flat > 0)
    assert digicam_bilinear.to_dict()["shape"] == list(digicam_bilinear.shape)
