"""The float model as ONNX: the baseline that any runtime can execute."""

import re
from pathlib import Path

import onnx
import tf2onnx

from trigger_ml.core.files import write_bytes
from trigger_ml.core.keras2 import tf
from trigger_ml.core.keras_types import Model

__all__ = ["OPSET", "export_onnx", "settled"]

OPSET = 17
"""Operator set of the exported file; onnxruntime reads it since 1.12."""


def settled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model whose order and names depend on its graph alone.

    tf2onnx walks through sets, whose order is that of places in memory: the order of the nodes, the numbers
    behind the names that it makes up, and which of two equal nodes gives the name differ from call to call.
    Here nodes come in the order in which the outputs need them, and what has such a number is counted anew.

    Parameters
    ----------
    model : onnx.ModelProto
        Without subgraphs.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    maker = {name: node for node in model.graph.node for name in node.output}
    values = {value.name: value for value in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    names = {value.name: value.name for value in (*model.graph.input, *model.graph.output)}
    counted: dict[str, int] = {}

    def name(old: str, kind: str) -> str:
        if not re.search(r"__\d+(:\d+)?$", old):
            return old
        counted[kind] = counted.get(kind, 0) + 1
        return f"{kind}__{counted[kind]}"

    # a stack, not recursion: networks may be deep
    waiting = [(value.name, False) for value in reversed(model.graph.output)]
    done: set[str] = set()
    while waiting:
        value, ready = waiting.pop()
        if value in done or value not in maker:
            if value in values and value not in done:
                constant = onnx.TensorProto()
                constant.CopyFrom(values[value])
                constant.name = names[value] = name(value, "constant")
                constants.append(constant)
                done.add(value)
            continue
        node = maker[value]
        if not ready:
            waiting.append((value, True))
            waiting += [(source, False) for source in reversed(node.input)]
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = name(node.name, node.op_type)
        for source in node.output:
            names.setdefault(source, name(source, f"{node.op_type}:out"))
        copy.input[:] = [names.get(source, source) for source in node.input]
        copy.output[:] = [names[source] for source in node.output]
        attributes = sorted(copy.attribute, key=lambda attribute: attribute.name)
        del copy.attribute[:]
        copy.attribute.extend(attributes)
        nodes.append(copy)
        done.update(node.output)
    for port in (*graph.input, *graph.output):
        # the number of events is named after a count of all unknown dimensions, too
        for size in port.type.tensor_type.shape.dim[:1]:
            if size.dim_param:
                size.dim_param = "events"
    for field, content in (("node", nodes), ("initializer", constants), ("value_info", [])):
        graph.ClearField(field)
        getattr(graph, field).extend(content)
    return result


def export_onnx(model: Model, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a float model as ONNX, atomically.

    Parameters
    ----------
    model : tf_keras.Model
        Float; fold its normalization first for the smallest graph.
    path : Path
    metadata : dict of str to str, optional
        Entries for the file's ``metadata_props``.

    Notes
    -----
    The input ``counts`` is float32 (events, height, width, channels), the number of events free; the
    first output is what the model returns.
    """
    name = model.input_names[0]
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=name)]
    proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
    proto = settled(proto)
    for key, value in (metadata or {}).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(proto)
    write_bytes(path, proto.SerializeToString(deterministic=True))
