import json

import numpy as np

from trigger_ml.instrument.digicam_order import patch_order


def test_every_patch_once():
    order = patch_order()
    for part in (order.inputs, order.outputs):
        np.testing.assert_array_equal(np.sort(part), np.arange(432))


def test_orders_are_those_of_the_camera_s_configuration(shared_data):
    """Sector, module in sector, patch in module and number of the output, from the camera's own table."""
    table = np.loadtxt(shared_data / "digicam-geometry/camera_config.cfg")
    sector, patch, in_module, module, output = (table[:, i].astype(int) for i in (3, 11, 13, 14, 15))
    # six modules of a row have the numbers 0 to 5, 10 to 15, ...
    module = module // 10 * 6 + module % 10
    arrival = (sector - 1) * 144 + module * 4 + in_module
    leaving = (sector - 1) * 144 + output
    order = patch_order()
    np.testing.assert_array_equal(order.inputs[arrival], patch)
    np.testing.assert_array_equal(order.outputs[leaving], patch)


def test_orders_are_those_of_the_collaboration_s_reader(shared_data):
    known = json.loads((shared_data / "digicam-geometry/patch_order.json").read_text())
    order = patch_order()
    np.testing.assert_array_equal(order.inputs, known["input"])
    np.testing.assert_array_equal(order.outputs, known["output"])
