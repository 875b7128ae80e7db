"""One table of what is supported, made from the registries: layers, ops, backends and their limits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trigger_ml.firmware.cost.ops import PREDICTION
from trigger_ml.firmware.hls.support import HLS, LACKING
from trigger_ml.firmware.ir.ops import NODE_TYPES, Node
from trigger_ml.firmware.ir.registry import Refused, Registry
from trigger_ml.firmware.layers import KERAS
from trigger_ml.firmware.native.generate import TRANSLATIONS
from trigger_ml.firmware.onnx.nodes import ONNX
from trigger_ml.firmware.rtl.arithmetic import ARITHMETIC
from trigger_ml.firmware.rtl.limits import no_limits
from trigger_ml.firmware.rtl.ops import STREAMING, UNROLLED
from trigger_ml.models import layers as kinds

__all__ = ["layer_rows", "limit_rows", "markdown", "op_rows"]

BACKENDS: Mapping[str, Registry[Any]] = {
    "ONNX emulator": ONNX,
    "C++ emulator": TRANSLATIONS,
    "HLS": HLS,
    "RTL, streaming": STREAMING,
    "RTL, unrolled": UNROLLED,
    "prediction": PREDICTION,
}
"""By the name that users read; the interpreter has every op."""
UNLIMITED = ("_any",)
"""Checks of hls4ml's that refuse nothing."""


def layer_rows() -> list[tuple[str, str, str]]:
    """Kinds of Keras layers: the layer, what a float model's becomes, the op of a quantized model's."""
    names = {cls: op for op, cls in NODE_TYPES.items()}
    float_kinds = {*kinds.SETTINGS, *kinds.SUMMING, *kinds.SELECTING, *kinds.IDENTITY, *kinds.SCALERS}
    rows = []
    for kind in sorted(float_kinds | set(KERAS.entries) - {"InputLayer"}):
        entry = KERAS.entries.get(kind)
        taken = "" if entry is None else ", ".join(names[cls] for cls in entry.gives) or "costs nothing"
        rows.append((kind, _of_float(kind) if kind in float_kinds else "", taken))
    return rows


def _of_float(kind: str) -> str:
    """What becomes of a layer of a float model."""
    if kind in kinds.QUANTIZED:
        return kinds.QUANTIZED[kind]
    if kind in kinds.SCALERS:
        return "folded into weights"
    if kind in kinds.IDENTITY:
        return "left out"
    if kind == "Softmax":
        return "cut off at the end"
    return "kept"


def op_rows() -> list[tuple[str, ...]]:
    """Ops by backend: yes, or what a backend refuses."""
    return [
        (op, *(_entry(registry.entries.get(cls)) for registry in BACKENDS.values()))
        for op, cls in NODE_TYPES.items()
        if op != "input"
    ]


def _entry(entry: object) -> str:
    if entry is None:
        return "no entry"
    return f"no: {entry.why}" if isinstance(entry, Refused) else "yes"


def limit_rows() -> list[tuple[str, str, str]]:
    """Limits within what is supported: backend, op or layer, and what is refused."""
    rows = []
    for op, cls in NODE_TYPES.items():
        for backend, check in (("HLS", HLS.entries.get(cls)), ("RTL", _rtl_check(cls))):
            if callable(check) and check is not no_limits and check.__name__ not in UNLIMITED:
                rows.append((backend, op, _words(check)))
    for (backend, io_type), lacking in LACKING.items():
        for kind, why in lacking.items():
            rows.append((f"HLS, {backend} {io_type}", kind, why.format(backend, io_type)))
    return rows


def _rtl_check(cls: type[Node]) -> Callable[..., None] | None:
    entry = ARITHMETIC.entries.get(cls)
    return None if entry is None or isinstance(entry, Refused) else entry.check


def _words(check: Callable[..., None]) -> str:
    """First line of what a check says of itself."""
    words = (check.__doc__ or check.__name__.strip("_").replace("_", " ")).strip().splitlines()[0]
    return words.rstrip(".")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown() -> str:
    """``docs/support.md``."""
    layers = [tuple(f"`{cell}`" if i == 0 else cell for i, cell in enumerate(row)) for row in layer_rows()]
    return f"""# What is supported

Written by `trigger-ml support -o docs/support.md` from the tables that the code works with; a test compares.
`trigger-ml support MODEL` says of a model what stands in its way, all at once. Every op has its exact
definition in the integer interpreter; a backend that has it gives the same bits, or `verify` fails.

## Layers of Keras

What a layer of a float model becomes when it is quantized here, and which op
([network format](network-format.md)) a layer of a quantized model becomes. What is in neither column is
refused, by its name.

{_table(("layer", "in a float model", "in a quantized model"), layers)}

## Ops by backend

{_table(("op", *BACKENDS), op_rows())}

## Limits

What a backend refuses of an op that it has, before any work.

{_table(("backend", "op or layer", "limit"), limit_rows())}
"""
