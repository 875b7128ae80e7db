"""What was made of a model without events: on the terminal, and as the README of its folder."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.intake import (
    DELIVERY,
    CostEstimate,
    Delivery,
    Refusal,
    Refusals,
    StyleCost,
)
from trigger_ml.report.terminal import firmware_folders, firmware_rows

__all__ = ["delivery_readme", "print_delivery", "print_estimate", "print_refusals"]


def _rows(made: Delivery) -> list[tuple[str, str]]:
    kind = "taken as it is" if made.quantized else "quantized here"
    rows = [
        ("model", f"{made.model} ({made.framework}), {kind}"),
        ("input", made.input),
        ("compared on", f"{made.inputs}, and corner inputs"),
    ]
    if (found := made.agreement) is not None:
        what = "sign" if found.outputs == 1 else "largest output"
        text = f"{100 * found.same:.2f} % the same {what} in {found.events} events, "
        rows.append(
            (
                "beside the model as given",
                text + f"differences rms {found.rms:.3g}, at most {found.largest:.3g}",
            )
        )
    return rows + [("note", note) for note in made.notes]


def print_delivery(directory: Path, console: Console) -> None:
    """Print what was brought, what was compared and what it costs."""
    made = read(directory / layout.DELIVERY, DELIVERY)
    table = Table(title=made.name, title_justify="left", show_header=False)
    for label, value in _rows(made):
        table.add_row(label, escape(value))
    table.add_section()
    for label, value in firmware_rows(directory):
        table.add_row(label, escape(value))
    console.print(table)
    console.print(f"firmware in {directory}", highlight=False, soft_wrap=True, markup=False)


def delivery_readme(directory: Path) -> str:
    """What is where in a delivery, what was compared, what it costs."""
    made = read(directory / layout.DELIVERY, DELIVERY)
    rows = [*_rows(made), *firmware_rows(directory)]
    table = "\n".join(f"| {label} | {value.replace('|', '\\|')} |" for label, value in rows)
    return f"""# Firmware of {made.name}

- `{layout.NETWORK}`: the fixed-point network, integers only
- `{layout.EMULATOR}`: the emulator for any ONNX runtime
{firmware_folders(directory / layout.FIRMWARE, f"{layout.FIRMWARE}/")}
- `{layout.VERIFICATION}`, `{layout.RESOURCES}`, `{layout.DELIVERY}`: all figures, each with its source

| | |
|---|---|
{table}
"""


def _print_refused(refusals: tuple[Refusal, ...], beyond: tuple[str, ...], console: Console) -> None:
    for refusal in refusals:
        console.print(f"- {refusal}", highlight=False, soft_wrap=True, markup=False)
    if beyond:
        text = f"not looked at, behind one that cannot be passed by: {', '.join(beyond)}"
        console.print(text, highlight=False, soft_wrap=True, markup=False)


def print_refusals(found: Refusals, console: Console) -> None:
    """Print what stands in a model's way, or that nothing does."""
    head = f"{found.model} ({found.framework}), input {found.input}: "
    number = len(found.refusals)
    said = f"{number} thing{'s' * (number > 1)} in the way of firmware" if number else "firmware can be made"
    console.print(head + said, highlight=False, soft_wrap=True, markup=False)
    _print_refused(found.refusals, found.not_looked_at, console)


def _style(style: StyleCost) -> str:
    if style.lut is None:
        return f"none: {style.reason}"
    parts = [
        f"{style.lut:,} LUT ({style.lut_low:,} to {style.lut_high:,})",
        f"{style.ff:,} FF ({style.ff_low:,} to {style.ff_high:,})",
        f"{style.bram} BRAM, {style.dsp} DSP",
    ]
    if style.interval is not None and style.latency is not None:
        parts.append(f"II {style.interval:,}, latency {style.latency:,} clocks")
    return ", ".join(parts) + ("" if style.reason is None else f"; {style.reason}")


def print_estimate(found: CostEstimate, console: Console) -> None:
    """Print a model's costs layer by layer, the whole in both styles, and what is not held."""
    layers = Table(title=f"{found.model} ({found.framework})", title_justify="left")
    for name in ("layer", "kind", "result"):
        layers.add_column(name)
    for name in ("parameters", "multiply-adds", "LUT, streaming", "FF"):
        layers.add_column(name, justify="right")
    for row in found.layers:
        lut, ff = (
            "not held" if not row.held else "" if value is None else f"{value:,}"
            for value in (row.streaming_lut, row.streaming_ff)
        )
        shape = " x ".join(map(str, row.shape))
        numbers = [f"{n:,}" if n else "" for n in (row.parameters, row.macs)]
        layers.add_row(escape(row.layer), row.kind, shape, *numbers, lut, ff)
    console.print(layers)
    whole = Table(show_header=False)
    whole.add_row("parameters, multiply-adds", f"{found.parameters:,}, {found.macs:,}")
    whole.add_row("input, bits", f"{found.input}, {found.bits}")
    whole.add_row("part, clock", f"{found.part}, {found.clock_period_ns:g} ns")
    for style in found.styles:
        whole.add_row(f"{style.style}, predicted", escape(_style(style)))
    console.print(whole)
    if found.refusals:
        console.print("in the way of firmware (the figures are without these layers):")
        _print_refused(found.refusals, found.not_looked_at, console)
