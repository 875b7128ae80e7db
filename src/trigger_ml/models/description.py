"""What ``model.json`` says of a model: its layers and its size."""

import math
from typing import Any

from trigger_ml.core.keras_types import Layer, Model
from trigger_ml.models.size import model_size

__all__ = ["describe_model"]


def describe_model(model: Model) -> dict[str, Any]:
    """Layers, parameters, operations and bytes of a float or quantized model.

    Parameters
    ----------
    model : tf_keras.Model

    Returns
    -------
    dict
        ``parameters``, ``weights`` (kernels only), ``nonzero_weights``, ``n_layers``, ``layers``, ``macs``,
        ``gflops``, ``bit_operations`` and ``bytes`` (``dense`` as float32, ``gzip``, ``packed``; the last is
        None for a float model).
    """
    size = model_size(model)
    return {
        "parameters": size.parameters,
        "weights": size.weights,
        "nonzero_weights": size.nonzero_weights,
        "n_layers": len(model.layers),
        "layers": [
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output_shape": _shape(layer),
                "parameters": int(layer.count_params()),
            }
            for layer in model.layers
        ],
        "macs": size.macs,
        "macs_nonzero": size.macs_nonzero,
        "gflops": size.gflops,
        "bit_operations": size.bit_operations,
        "bytes": {"dense": size.bytes_float32, "gzip": size.bytes_gzip, "packed": size.bytes_packed},
    }


def _shape(layer: Layer) -> str:
    shape = layer.output_shape
    # an input layer wraps its shape in a list
    shape = shape[0] if isinstance(shape, list) else shape
    size = [n for n in shape if n is not None]
    return f"{' × '.join(map(str, size))}" if math.prod(size) else ""
