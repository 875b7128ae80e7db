"""The emulator as C++ files: what others compile, and what the product compiles for itself."""

import json
from importlib.resources import files
from string import Template

import numpy as np

from trigger_ml.firmware.ir.network import Network
from trigger_ml.firmware.ir.serialize import digest
from trigger_ml.firmware.names import word
from trigger_ml.firmware.native.generate import source
from trigger_ml.firmware.native.plan import Plan, storage

__all__ = ["ABI", "prefix", "sources"]

ABI = 3
"""Version of the C interface; raised when a caller has to change."""
FIXED = ("lanes.h", "blocks.h", "emulator.cpp")
KINDS = {"uint8_t": 1, "int8_t": 1, "uint16_t": 2, "int16_t": 2, "uint32_t": 4, "int32_t": 4}

HEADER = Template("""\
/* $title: the emulator of one network, bit for bit.
 *
 * Thread-safe: nothing is kept between calls, nothing is allocated; each thread brings a workspace of its own.
 * All names carry the network's hash, so any number of emulators live in one process.
 */
#ifndef ${guard}
#define ${guard}

#include <stddef.h>
#include <stdint.h>

#ifndef TRIGGER_ML_EMULATOR_ABI
#define TRIGGER_ML_EMULATOR_ABI $abi

enum {
    TRIGGER_ML_OK = 0,
    TRIGGER_ML_NULL = 1,      /* a pointer is null */
    TRIGGER_ML_RANGE = 2,     /* a count is outside the input type */
    TRIGGER_ML_PROCESSOR = 3  /* compiled for another processor */
};

typedef struct {
    int abi;                       /* version of this interface */
    const char *network;           /* hash of the network */
    const char *metadata;          /* JSON: camera, grid, how charge becomes counts */
    int height, width, channels;   /* of the input; its last index runs fastest */
    int count_bytes, count_signed; /* type of a count */
    int64_t count_low, count_high; /* values of a count that are allowed */
    int outputs;                   /* integers for each event, one output of the network after the other */
    const int *output_fractions;   /* of each of these integers: it counts 2^-fraction */
    int heads;                     /* outputs of the network */
    const char *const *head_names;
    const int *head_sizes;         /* integers of each */
    int nodes;                     /* nodes of the network, by `taps` */
    const char *const *node_names;
    const int *node_sizes;         /* integers for each event; 0 where a node's sums are never stored */
} trigger_ml_facts;
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef $count ${prefix}count;

/* What the network is and takes; never null. */
const trigger_ml_facts *${prefix}facts(void);

/* Bytes of a workspace; one for each thread, of any content and alignment. */
size_t ${prefix}workspace(void);

/* Logits of events that lie one after the other; returns one of the codes above. */
int ${prefix}run(const ${prefix}count *counts, size_t events, int64_t *logits, void *workspace);

/* As run, and the values of nodes, event after event: to find where something differs. values has a pointer for
 * each node; null where its values are not wanted. */
int ${prefix}taps(const ${prefix}count *counts, size_t events, int64_t *logits, int64_t *const *values,
    void *workspace);

#ifdef __cplusplus
}
#endif

#endif
""")


def prefix(network: Network) -> str:
    """What the names of a network's emulator begin with."""
    return f"trigger_ml_{digest(network)[:16]}_"


def _quoted(text: str) -> str:
    """A C string literal of a text in UTF-8, in pieces that no compiler finds too long."""
    # three octal digits end an escape, whatever follows
    parts = [chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()]
    pieces = ["".join(parts[i : i + 400]) for i in range(0, len(parts), 400)]
    return "\n        ".join(f'"{piece}"' for piece in pieces) or '""'


def _private(network: Network, plan: Plan) -> str:
    """``network.h``: what the code of the emulator knows of its network."""
    name = prefix(network)
    kind = storage(network.bounds[network.input.name])
    signed = kind.startswith("int")
    size = KINDS[kind]
    dtype = network.input.dtype
    every = dtype.width == 8 * size and dtype.signed == signed
    height, width, channels = (1, 1, *network.input.size)[-3:]
    sizes = [int(np.prod(network.shapes[n.name])) if n.name in plan.buffers else 0 for n in network.nodes]
    heads = [int(np.prod(network.shapes[output])) for output in network.outputs]
    fractions = [
        network.types[output].fraction
        for output, size in zip(network.outputs, heads, strict=True)
        for _ in range(size)
    ]
    names = ", ".join(_quoted(node.name) for node in network.nodes)
    lines = [
        "// What the code of this emulator knows of its network.",
        "#pragma once",
        "",
        '#include "emulator.h"',
        "",
        f"#define TRIGGER_ML_NAME(x) {name}##x",
        f"#define TRIGGER_ML_VALUES {height * width * channels}",
        f"#define TRIGGER_ML_NODES {len(network.nodes)}",
        f"#define TRIGGER_ML_LOW INT64_C({dtype.minimum})",
        f"#define TRIGGER_ML_HIGH INT64_C({dtype.maximum})",
        *(["#define TRIGGER_ML_EVERY_COUNT_ALLOWED"] if every else []),
        "",
        f"static const char *const tml_node_names[] = {{{names}}};",
        f"static const int tml_node_sizes[] = {{{', '.join(map(str, sizes))}}};",
        f"static const int tml_output_fractions[] = {{{', '.join(map(str, fractions))}}};",
        f"static const char *const tml_head_names[] = {{{', '.join(map(_quoted, network.outputs))}}};",
        f"static const int tml_head_sizes[] = {{{', '.join(map(str, heads))}}};",
        "static const char tml_metadata[] =",
        f"        {_quoted(json.dumps(dict(network.metadata), sort_keys=True))};",
        "#define TRIGGER_ML_FACTS \\",
        f'    {{{ABI}, "{digest(network)}", tml_metadata, {height}, {width}, {channels}, {size}, {int(signed)}, \\',
        f"     {dtype.minimum}, {dtype.maximum}, {sum(heads)}, tml_output_fractions, {len(heads)}, \\",
        f"     tml_head_names, tml_head_sizes, {len(network.nodes)}, tml_node_names, tml_node_sizes}}",
        "",
    ]
    return "\n".join(lines)


def sources(network: Network) -> dict[str, str]:
    """The emulator's files by name.

    Parameters
    ----------
    network : Network

    Raises
    ------
    MappingError
        Naming an op that has no translation.
    """
    plan = Plan(network)
    kind = storage(network.bounds[network.input.name])
    title = word(str(network.metadata.get("name", "network")))
    found = {name: files(__package__).joinpath(name).read_text(encoding="utf-8") for name in FIXED}
    found["emulator.h"] = HEADER.substitute(
        title=title,
        guard=f"{prefix(network).upper()}H",
        abi=ABI,
        count=kind,
        prefix=prefix(network),
    )
    found["network.h"] = _private(network, plan)
    found["network.cpp"] = (
        "// The network: every weight that is not zero is a statement.\n"
        "#if defined(__GNUC__) && !defined(__clang__)\n"
        "// sums stay in the order in which they fit the registers: half as fast again\n"
        '#pragma GCC optimize("no-tree-reassoc")\n'
        "#endif\n"
        '#include "network.h"\n\n#include "lanes.h"\n\n' + source(network) + '\n#include "blocks.h"\n'
    )
    return found
