"""A jet tagger's network (16-64-32-32-5, 6 bits) with random weights, and inputs: ``jets.h5``, ``x.npy``.

The layers are those of the network that papers on hls4ml use; firmware is made and proven of any weights.
"""

import numpy as np

# selects Keras 2, which QKeras is written for
from trigger_ml.core.keras2 import tf_keras

# isort: split
from qkeras import QActivation, QDense, quantized_bits, quantized_relu

tf_keras.utils.set_random_seed(1)
bits = {"kernel_quantizer": quantized_bits(6, 0, alpha=1), "bias_quantizer": quantized_bits(6, 0, alpha=1)}
model = tf_keras.Sequential([tf_keras.Input((16,), name="jets")], name="jets")
for number, units in enumerate((64, 32, 32), start=1):
    model.add(QDense(units, **bits, name=f"fc{number}"))
    model.add(QActivation(quantized_relu(6), name=f"relu{number}"))
model.add(QDense(5, **bits, name="logits"))
model.save("jets.h5", save_format="h5")
np.save("x.npy", np.clip(np.random.default_rng(1).normal(0, 1, (400, 16)), -4, 4).astype(np.float32))
