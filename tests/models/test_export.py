from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.models.export import OPSET, export_onnx
from trigger_ml.models.registry import build_model


def test_onnx_gives_the_same_for_any_number_of_events(tmp_path: Path) -> None:
    config = ModelConfig(stem_filters=3, stages=(StageConfig(filters=4, strides=2),))
    model = fold_batch_norm(build_model(config, (10, 8, 2), "direction"))
    export_onnx(model, tmp_path / "float.onnx", {"task": "direction"})
    session = onnxruntime.InferenceSession(tmp_path / "float.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["counts"]
    for events in (1, 7):
        images = np.random.default_rng(events).random((events, 10, 8, 2), dtype=np.float32)
        np.testing.assert_allclose(session.run(None, {"counts": images})[0], model(images), atol=1e-5)
    proto = onnx.load(tmp_path / "float.onnx")
    assert {p.key: p.value for p in proto.metadata_props} == {"task": "direction"}
    assert proto.opset_import[0].version == OPSET
