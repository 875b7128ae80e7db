import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from trigger_ml.compression.fold import fold_batch_norm
from trigger_ml.core.config import ModelConfig, StageConfig
from trigger_ml.models.export import OPSET, export_onnx, settled
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


def renumbered(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """The same network as tf2onnx might have written it: other numbers behind names, another order."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(1000)
    result = onnx.ModelProto.FromString(
        re.sub(
            rb"__(\d{3})",
            lambda found: b"__%03d" % (numbers[int(found[1])] % 900 + 100),
            model.SerializeToString(),
        )
    )
    for field in (result.graph.node, result.graph.initializer):
        entries = [type(entry).FromString(entry.SerializeToString()) for entry in field]
        del field[:]
        field.extend(entries[i] for i in rng.permutation(len(entries)))
    return result


def test_equal_networks_give_equal_files() -> None:
    """A residual block, whose branches tf2onnx takes in any order."""
    make, values = onnx.helper.make_node, onnx.numpy_helper.from_array
    kernel = np.random.default_rng(1).random((1, 1, 1, 1)).astype(np.float32)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                make("Reshape", ["counts", "shape__101"], ["flat__102:0"], name="flat__102"),
                make("Conv", ["flat__102:0", "kernel"], ["a:0"], name="a", pads=[0] * 4, strides=[1, 1]),
                make("Relu", ["flat__102:0"], ["b__103:0"], name="b__103"),
                make("Add", ["a:0", "b__103:0"], ["logit"], name="sum"),
            ],
            "graph",
            [onnx.helper.make_tensor_value_info("counts", onnx.TensorProto.FLOAT, ("unk__104", 3, 3, 1))],
            [onnx.helper.make_tensor_value_info("logit", onnx.TensorProto.FLOAT, ("unk__105", 1, 3, 3))],
            [values(np.array([-1, 1, 3, 3]), "shape__101"), values(kernel, "kernel")],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=8,
    )
    images = np.random.default_rng(2).normal(size=(4, 3, 3, 1)).astype(np.float32)

    def run(proto: onnx.ModelProto) -> np.ndarray:
        onnx.checker.check_model(proto)
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"counts": images})[0]

    expected = settled(model)
    np.testing.assert_array_equal(run(expected), run(model))
    written = {renumbered(model, seed).SerializeToString() for seed in range(5)}
    assert len(written) == 5
    for content in written:
        found = settled(onnx.ModelProto.FromString(content))
        assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
