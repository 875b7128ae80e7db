"""C++ of a network: one statement for each weight that is not zero, row by row as the camera is read."""

from collections.abc import Callable

import numpy as np

from trigger_ml.core.fixed_point import IntArray
from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.ops import (
    Add,
    Affine,
    AveragePool2D,
    Concatenate,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Input,
    Lookup,
    MaxPool2D,
    Multiply,
    Node,
    Quantize,
)
from trigger_ml.firmware.ir.registry import Refused, Registry
from trigger_ml.firmware.names import word
from trigger_ml.firmware.native.code import Code, elements, literal
from trigger_ml.firmware.native.order import driver, workspace
from trigger_ml.firmware.native.plan import Plan
from trigger_ml.firmware.native.selecting import average_pool, lookup, max_pool, maximum_of_all, multiply

__all__ = ["source"]

SUMS = 12
"""Sums formed at once: with an input and a factor they fit sixteen registers."""


def _constant(value: int, bits: int) -> str:
    """An integer modulo 2**bits, as it is read."""
    signed = (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))
    return f"(uint{bits}_t){literal(signed) if bits == 64 else signed}"


def _term(total: str, value: str, weight: int, bits: int) -> str:
    """One product added to a sum; a shift or nothing where the weight is a power of two."""
    size, sign = abs(weight), "-" if weight < 0 else "+"
    if size == 1:
        return f"{total} {sign}= {value};"
    if size & (size - 1) == 0:
        return f"{total} {sign}= {value} << {size.bit_length() - 1};"
    return f"{total} += {value} * {_constant(weight, bits)};"


def _stored(code: Code, result: Node, total: str, bits: int) -> str:
    """A sum as it is stored, through the quantizer that it goes to if it has one of its own."""
    if isinstance(result, Quantize):
        return code.quantized(result, total, bits)
    kind = code.plan.buffers[result.name].stored
    return f"as<{kind}, int{bits}_t>((V<int{bits}_t>){total})"


def _convolution(code: Code, node: Conv2D) -> None:
    plan, network = code.plan, code.plan.network
    source, result = node.inputs[0], plan.result(node)
    kernel = plan.weights(node)
    given, made = plan.buffers[source], plan.buffers[result.name]
    top, left = node.padding[0][0], node.padding[1][0]
    for i in range(len(kernel)):
        row = code.padded(source, f"y * {node.strides[0]} + {i - top}")
        code.add(f"    [[maybe_unused]] const V<{given.stored}> *const r{i} = {row};")
    code.add(
        f"    V<{made.stored}> *out = {code.kept(result.name, 'y')};",
        f"    for (int x = 0; x < {network.shapes[node.name][1]}; ++x, out += {made.per_column}) {{",
        f"        [[maybe_unused]] const int at = (x * {node.strides[1]} - {left}) * {given.per_column};",
    )
    _sums(code, node, kernel)
    code.add("    }")


def _sums(code: Code, node: Affine, kernel: IntArray) -> None:
    """All sums of one position, from the rows ``r0``, ``r1``, ... at ``at``."""
    plan = code.plan
    result, given = plan.result(node), plan.buffers[node.inputs[0]]
    bias = node.aligned_bias(plan.network.bounds[node.inputs[0]].fraction)
    bits, made = plan.sum_bits(node), plan.buffers[result.name]
    if plan.is_table(node):
        _table(code, node, kernel, bias, bits)
        return
    height, width, inner, outer = kernel.shape
    for first in range(0, outer, SUMS):
        columns = range(first, min(first + SUMS, outer))
        code.add("        {")
        for column in columns:
            start = _constant(int(bias[column]), bits)
            code.add(f"        V<uint{bits}_t> s{column} = all<uint{bits}_t>({start});")
        if given.paired:
            _pairs(code, kernel, columns)
        for i, j, k in () if given.paired else np.ndindex(height, width, inner):
            weights = [(column, int(kernel[i, j, k, column])) for column in columns]
            if not any(weight for _, weight in weights):
                continue
            value = f"as<uint{bits}_t, {given.ctype}>(r{i}[at + {j * inner + k}])"
            code.add(f"        {{ const auto v = {value};")
            code.add(*(f"          {_term(f's{c}', 'v', weight, bits)}" for c, weight in weights if weight))
            code.add("        }")
        values = [_stored(code, result, f"s{column}", bits) for column in columns]
        place = first
        if made.paired:
            values = [f"together({a}, {b})" for a, b in zip(values[::2], values[1::2], strict=True)]
            place //= 2
        code.add(*(f"        out[{place + i}] = {value};" for i, value in enumerate(values)), "        }")


def _pairs(code: Code, kernel: IntArray, columns: range) -> None:
    """Products of two channels at a time."""
    height, width, inner, _ = kernel.shape
    for i, j, k in np.ndindex(height, width, inner // 2):
        weights = [(column, *map(int, kernel[i, j, 2 * k : 2 * k + 2, column])) for column in columns]
        used = [(column, a, b) for column, a, b in weights if a or b]
        if used:
            code.add(f"        {{ const auto v = r{i}[at + {j * (inner // 2) + k}];")
            code.add(*(f"          s{column} += pair(v, {a}, {b});" for column, a, b in used))
            code.add("        }")


def _table(code: Code, node: Affine, kernel: IntArray, bias: IntArray, bits: int) -> None:
    """Sums of a layer too large for a statement of each weight."""
    plan = code.plan
    outer = kernel.shape[-1]
    rows = [f"r{i}" for i in range(len(kernel))]
    flat = kernel.reshape(len(rows), -1, outer)
    starts, offsets, weights = [0], [], []
    for column in range(outer):
        for i in range(len(rows)):
            used = np.flatnonzero(flat[i, :, column])
            offsets += [f"{{{i}, {k}}}" for k in used]
            weights += [str(int(w) % (1 << bits)) for w in flat[i, used, column]]
        starts.append(len(offsets))
    suffix = "ull" if bits == 64 else "u"
    code.add(
        "        static const struct { std::int32_t row, at; } where[] = {" + ", ".join(offsets) + "};",
        f"        static const uint{bits}_t weight[] = {{" + ", ".join(w + suffix for w in weights) + "};",
        "        static const std::int32_t start[] = {" + ", ".join(map(str, starts)) + "};",
        f"        static const uint{bits}_t bias[] = {{"
        + ", ".join(f"{int(b) % (1 << bits)}{suffix}" for b in bias)
        + "};",
        f"        const V<{plan.buffers[node.inputs[0]].ctype}> *const rows[] = {{{', '.join(rows)}}};",
        f"        for (int c = 0; c < {outer}; ++c) {{",
        f"            V<uint{bits}_t> s = all<uint{bits}_t>(bias[c]);",
        "            for (int k = start[c]; k < start[c + 1]; ++k) {",
        f"                s += as<uint{bits}_t, {plan.buffers[node.inputs[0]].ctype}>"
        "(rows[where[k].row][at + where[k].at]) * weight[k];",
        "            }",
    )
    code.add(f"            out[c] = {_stored(code, plan.result(node), 's', bits)};", "        }")


def _dense(code: Code, node: Dense) -> None:
    plan, source = code.plan, node.inputs[0]
    given, made = plan.buffers[source], plan.buffers[plan.result(node).name]
    code.add(
        f"    V<{made.stored}> *out = {code.kept(plan.result(node).name, 'y')};",
        f"    [[maybe_unused]] const V<{given.stored}> *const r0 = {code.kept(source, 'y')};",
        "    [[maybe_unused]] const int at = 0;",
    )
    _sums(code, node, plan.weights(node))


def _quantize(code: Code, node: Quantize) -> None:
    bits, kind = code.plan.sum_bits(node), code.plan.buffers[node.inputs[0]].ctype
    elements(code, node, lambda at: code.quantized(node, f"as<uint{bits}_t, {kind}>(r0[{at}])", bits))


def _add(code: Code, node: Add) -> None:
    plan, network = code.plan, code.plan.network
    bits, kind = plan.sum_bits(node), plan.buffers[node.name].stored

    def value(at: str) -> str:
        terms = []
        for i, source in enumerate(node.inputs):
            term = f"as<uint{bits}_t, {plan.buffers[source].ctype}>(r{i}[{at}])"
            places = network.bounds[node.name].fraction - network.bounds[source].fraction
            terms.append(f"({term} << {places})" if places else term)
        return f"as<{kind}, int{bits}_t>((V<int{bits}_t>)({' + '.join(terms)}))"

    elements(code, node, value)


def _concatenate(code: Code, node: Concatenate) -> None:
    plan, network = code.plan, code.plan.network
    made, bits = plan.buffers[node.name], plan.sum_bits(node)
    code.add(f"    V<{made.stored}> *const out = {code.kept(node.name, 'y')};")
    first = 0
    for i, source in enumerate(node.inputs):
        given = plan.buffers[source]
        places = network.bounds[node.name].fraction - network.bounds[source].fraction
        value = f"as<uint{bits}_t, {given.ctype}>(r{i}[x * {given.channels} + c]) << {places}"
        code.add(
            f"    const V<{given.ctype}> *const r{i} = {code.kept(source, 'y')};",
            f"    for (int x = 0; x < {made.width}; ++x) for (int c = 0; c < {given.channels}; ++c)",
            f"        out[x * {made.channels} + {first} + c] = "
            f"as<{made.stored}, int{bits}_t>((V<int{bits}_t>)({value}));",
        )
        first += given.channels


def _average_all(code: Code, node: GlobalAveragePool) -> None:
    plan = code.plan
    given, made = plan.buffers[node.inputs[0]], plan.buffers[node.name]
    unsigned = f"u{made.ctype}"
    code.add(
        f"    const V<{given.ctype}> *r = {code.kept(node.inputs[0], 'y')};",
        f"    V<{unsigned}> s[{made.channels}];",
        f"    if (y == 0) std::memset(s, 0, sizeof s); else std::memcpy(s, w.n{made.index}[0], sizeof s);",
        f"    for (int x = 0; x < {given.width}; ++x, r += {given.channels})",
        f"        for (int c = 0; c < {made.channels}; ++c) s[c] += as<{unsigned}, {given.ctype}>(r[c]);",
        f"    std::memcpy(w.n{made.index}[0], s, sizeof s);",
    )


def _flatten(code: Code, node: Flatten) -> None:
    plan = code.plan
    given, made = plan.buffers[node.inputs[0]], plan.buffers[node.name]
    length = given.width * given.channels
    code.add(
        f"    const V<{given.ctype}> *const r = {code.kept(node.inputs[0], 'y')};",
        f"    for (int i = 0; i < {length}; ++i)",
        f"        w.n{made.index}[0][y * {length} + i] = as<{made.ctype}, {given.ctype}>(r[i]);",
    )


TRANSLATIONS = Registry[Callable[..., None]](
    "the native emulator",
    {
        Input: Refused("an input is given, not computed", "Report this as a defect"),
        Conv2D: _convolution,
        Dense: _dense,
        Quantize: _quantize,
        Add: _add,
        Concatenate: _concatenate,
        Multiply: multiply,
        Lookup: lookup,
        MaxPool2D: max_pool,
        AveragePool2D: average_pool,
        GlobalMaxPool: maximum_of_all,
        GlobalAveragePool: _average_all,
        Flatten: _flatten,
    },
)
"""From an op to the code that computes one row of it (of a vector: all of it)."""


def _comment(plan: Plan, node: Node) -> str:
    shape = " x ".join(map(str, plan.network.shapes[node.name]))
    text = f"// {word(node.name)}: {node.op}, {shape}"
    if isinstance(node, Affine):
        text += f", {np.count_nonzero(node.kernel)} of {node.kernel.size} weights"
    result = plan.result(node)
    return text + (f"; then {word(result.name)}" if result is not node else "")


def source(network: Network) -> str:
    """The network's part of the emulator: a workspace, one function for each step, and their order.

    Parameters
    ----------
    network : Network

    Raises
    ------
    MappingError
        Naming an op that has no translation.
    """
    plan = Plan(network)
    code = Code(plan)
    code.add("namespace {", "", *workspace(plan), "")
    for node in plan.steps:
        translate = TRANSLATIONS.of(node)
        code.add(_comment(plan, node), f"TML_INLINE void step{plan.index[node.name]}(Workspace &w, int y) {{")
        code.add("    (void)y;")
        translate(code, node)
        code.add("}", "")
    code.add(*driver(plan), "", "}  // namespace")
    return "\n".join(code.lines) + "\n"
