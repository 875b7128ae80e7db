"""What of a network is computed when, in C++: each row as soon as the rows that it reads are there."""

import numpy as np

from trigger_ml.firmware.ir.ops import Node
from trigger_ml.firmware.names import word
from trigger_ml.firmware.native.plan import Plan, window_of

__all__ = ["driver", "workspace"]


def workspace(plan: Plan) -> list[str]:
    """What a thread needs: the rows that are kept of each map, and the vectors."""
    lines = ["struct Workspace {"]
    for name, b in plan.buffers.items():
        # the row behind those that are kept stays zero
        rows = b.rows + 1 if b.is_map else 1
        lines.append(f"    V<{b.stored}> n{b.index}[{rows}][{b.columns * b.per_column}];  // {word(name)}")
    return [*lines, "};"]


def driver(plan: Plan) -> list[str]:
    """What is computed when: each row as soon as the rows that it reads are there."""
    network = plan.network
    given = plan.buffers[network.input.name]
    out, offset = [], 0
    for name in network.outputs:
        size = int(np.prod(network.shapes[name]))
        out.append((name, offset))
        offset += size
    lines = [
        f"constexpr std::size_t kOutputs = {offset};",
        "",
        "TML_INLINE void keep(Workspace &w, int node, int y, int events, std::int64_t *out,"
        " std::int64_t *const *tapped, std::size_t first) {",
        "    switch (node) {",
    ]
    for name, b in plan.buffers.items():
        length = b.width * b.channels
        size = b.height * length
        place = f"&w.n{b.index}[{f'y % {b.rows}' if b.rows > 1 else '0'}][{b.left * b.per_column}]"
        gather = "collect_pairs" if b.paired else f"collect<{b.ctype}>"
        wanted = [
            f"        if (tapped != nullptr && tapped[{b.index}] != nullptr)",
            f"            {gather}({place}, {length}, events, tapped[{b.index}] + first * {size} + y * {length},"
            f" {size});",
        ]
        wanted += [
            f"        {gather}({place}, {length}, events, out + {at} + y * {length}, kOutputs);"
            for output, at in out
            if output == name
        ]
        lines += [f"    case {b.index}:", *wanted, "        break;"]
    lines += ["    }", "}", ""]
    counts = f"{given.ctype}"
    lines += [
        f"static void block(Workspace &w, const {counts} *const *events, int n, std::int64_t *out,"
        " std::int64_t *const *tapped, std::size_t first) {",
    ]
    last = max(plan.turns.values())
    every = [node for turn in range(last + 1) for node in plan.maps(turn)]
    lines += [f"    int d{plan.index[plan.result(node).name]} = 0;" for node in every]
    row = given.width * given.channels
    lines += [
        f"    for (int y = 0; y < {given.height}; ++y) {{",
        f"        spread<{counts}>(events, std::size_t(y) * {row}, {row},"
        f" &w.n{given.index}[{f'y % {given.rows}' if given.rows > 1 else '0'}][{given.left * given.channels}]);",
        f"        keep(w, {given.index}, y, n, out, tapped, first);",
    ]
    if plan.maps(0):
        lines.append("        const int d0 = y + 1;")
    for turn in range(last + 1):
        if turn and plan.maps(turn):
            lines.append(f"    for (int y = 0; y < {plan.turn_rows(turn)}; ++y) {{")
        for node in plan.maps(turn):
            lines += _rows(plan, node)
        if turn == 0 or plan.maps(turn):
            lines.append("    }")
        for node in plan.vectors(turn):
            i = plan.index[plan.result(node).name]
            lines += [
                f"    step{plan.index[node.name]}(w, 0);",
                f"    keep(w, {i}, 0, n, out, tapped, first);",
            ]
    return [*lines, "}"]


def _rows(plan: Plan, node: Node) -> list[str]:
    """The rows of a step that can be made now."""
    name = plan.result(node).name
    i = plan.index[name]
    made, total = plan.buffers[name], plan.total(node)
    if plan.leads(node):
        ready = f"d{i} <= y"
    else:
        height = plan.network.shapes[node.inputs[0]][0]
        window = window_of(node)
        last = f"d{i} * {window.strides[0]} + {window.size[0] - window.padding[0][0]}"
        # the last rows may read zeros below the map
        need = f"({last} < {height} ? {last} : {height})"
        coming = [s for s in node.inputs if plan.turns[s] == plan.turns[node.name] and plan.is_map(s)]
        ready = " && ".join(f"d{plan.index[source]} >= {need}" for source in dict.fromkeys(coming))
    lines = [
        f"        for (; d{i} < {total} && {ready}; ++d{i}) {{",
        f"            step{plan.index[node.name]}(w, d{i});",
    ]
    if made.is_map:
        lines.append(f"            keep(w, {i}, d{i}, n, out, tapped, first);")
    else:
        lines.append(f"            if (d{i} == {total - 1}) keep(w, {i}, 0, n, out, tapped, first);")
    return [*lines, "        }"]
