"""What was made of a model without events: on the terminal, and as the README of its folder."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trigger_ml.core import layout
from trigger_ml.core.documents.base import read
from trigger_ml.core.documents.intake import DELIVERY, Delivery
from trigger_ml.report.terminal import firmware_folders, firmware_rows

__all__ = ["delivery_readme", "print_delivery"]


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
