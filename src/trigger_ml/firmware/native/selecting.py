"""C++ of the ops that choose or combine values; no weights take part."""

import numpy as np

from trigger_ml.firmware.ir.ops import AveragePool2D, GlobalMaxPool, Lookup, MaxPool2D, Multiply
from trigger_ml.firmware.native.code import Code, elements, literal

__all__ = ["average_pool", "lookup", "max_pool", "maximum_of_all", "multiply"]


def max_pool(code: Code, node: MaxPool2D) -> None:
    """Largest value of each window."""
    plan = code.plan
    source = node.inputs[0]
    given, made = plan.buffers[source], plan.buffers[node.name]
    (top, bottom), (left, right) = node.padding
    for i in range(node.window[0]):
        row = f"y * {node.strides[0]} + {i - top}"
        if top or bottom:
            # the nearest row of the map is in the window, too, and does not change its maximum
            row = f"inside({row}, {given.height})"
        code.add(f"    const V<{given.ctype}> *const r{i} = {code.kept(source, row)};")
    channels, kind = given.channels, given.ctype
    code.add(
        f"    V<{made.ctype}> *const out = {code.kept(node.name, 'y')};",
        f"    for (int x = 0; x < {made.width}; ++x) for (int c = 0; c < {channels}; ++c) {{",
    )
    for j in range(node.window[1]):
        column = f"x * {node.strides[1]} + {j - left}"
        if left or right:
            column = f"inside({column}, {given.width})"
        code.add(f"        const int at{j} = ({column}) * {channels} + c;")
    values = [f"r{i}[at{j}]" for i, j in np.ndindex(*node.window)]
    code.add(f"        V<{kind}> m = {values[0]};")
    code.add(*(f"        m = larger<{kind}>(m, {value});" for value in values[1:]))
    if node.zeros and node.padded:
        height, width = node.window
        first_row, first_column = f"y * {node.strides[0]} - {top}", f"x * {node.strides[1]} - {left}"
        code.add(
            f"        if ({first_row} < 0 || {first_row} + {height} > {given.height}"
            f" || {first_column} < 0 || {first_column} + {width} > {given.width})",
            f"            m = larger<{kind}>(m, all<{kind}>(0));",
        )
    code.add(f"        out[x * {channels} + c] = as<{made.ctype}, {kind}>(m);", "    }")


def average_pool(code: Code, node: AveragePool2D) -> None:
    """Sum of each window."""
    plan, network = code.plan, code.plan.network
    source = node.inputs[0]
    given, made = plan.buffers[source], plan.buffers[node.name]
    bits = plan.sum_bits(node)
    for i in range(node.window[0]):
        row = code.kept(source, f"y * {node.strides[0]} + {i}")
        code.add(f"    const V<{given.ctype}> *const r{i} = {row};")
    channels = network.shapes[node.name][2]
    code.add(
        f"    V<{made.ctype}> *const out = {code.kept(node.name, 'y')};",
        f"    for (int x = 0; x < {made.width}; ++x) for (int c = 0; c < {channels}; ++c) {{",
        f"        const int at = x * {node.strides[1] * channels} + c;",
    )
    values = [f"r{i}[at + {j * channels}]" for i, j in np.ndindex(*node.window)]
    terms = " + ".join(f"as<uint{bits}_t, {given.ctype}>({value})" for value in values)
    total = f"as<{made.ctype}, int{bits}_t>((V<int{bits}_t>)({terms}))"
    code.add(f"        out[x * {channels} + c] = {total};", "    }")


def maximum_of_all(code: Code, node: GlobalMaxPool) -> None:
    """Largest value of each channel, row by row."""
    plan = code.plan
    given, made = plan.buffers[node.inputs[0]], plan.buffers[node.name]
    kind = made.ctype
    code.add(
        f"    const V<{given.ctype}> *r = {code.kept(node.inputs[0], 'y')};",
        f"    V<{kind}> *const m = w.n{made.index}[0];",
        f"    for (int x = 0; x < {given.width}; ++x, r += {given.channels})",
        f"        for (int c = 0; c < {made.channels}; ++c) {{",
        f"            const V<{kind}> v = as<{kind}, {given.ctype}>(r[c]);",
        f"            m[c] = y == 0 && x == 0 ? v : larger<{kind}>(m[c], v);",
        "        }",
    )


def multiply(code: Code, node: Multiply) -> None:
    """Products of rows; the second factor may have one position, or one channel, for all."""
    plan = code.plan
    first, second = (plan.buffers[name] for name in node.inputs)
    made, bits = plan.buffers[node.name], plan.sum_bits(node)
    one_row, one_column, one_channel = second.height == 1, second.width == 1, second.channels == 1
    place = " + ".join(
        [*([] if one_column else [f"x * {second.channels}"]), *([] if one_channel else ["c"])] or ["0"]
    )
    row = code.kept(node.inputs[1], "0" if one_row else "y")
    code.add(
        f"    const V<{first.ctype}> *const r0 = {code.kept(node.inputs[0], 'y')};",
        f"    const V<{second.ctype}> *const r1 = {row};",
        f"    V<{made.stored}> *const out = {code.kept(node.name, 'y')};",
        f"    for (int x = 0; x < {made.width}; ++x) for (int c = 0; c < {made.channels}; ++c) {{",
        f"        const auto a = as<uint{bits}_t, {first.ctype}>(r0[x * {first.channels} + c]);",
        f"        const auto b = as<uint{bits}_t, {second.ctype}>(r1[{place}]);",
        f"        out[x * {made.channels} + c] = as<{made.stored}, int{bits}_t>((V<int{bits}_t>)(a * b));",
        "    }",
    )


def lookup(code: Code, node: Lookup) -> None:
    """An entry for each lane."""
    plan = code.plan
    given, made = plan.buffers[node.inputs[0]], plan.buffers[node.name]
    tables, size = node.rows.shape
    entries = ", ".join(literal(int(entry)) for entry in node.rows.ravel())
    code.add(f"    static const {made.ctype} table[] = {{{entries}}};")

    def value(at: str) -> str:
        start = f"table + {size} * (({at}) % {tables})" if tables > 1 else "table"
        return f"found<{made.ctype}, {given.ctype}, {literal(node.low)}>({start}, r0[{at}])"

    elements(code, node, value)
