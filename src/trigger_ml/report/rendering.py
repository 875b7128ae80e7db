"""From the templates to a page in a file."""

from pathlib import Path

import jinja2

from trigger_ml.core.files import write_text
from trigger_ml.report import formatting
from trigger_ml.report.facts import PERCENTAGES

__all__ = ["write_page"]


def _environment() -> jinja2.Environment:
    """Templates with the number formats as filters."""
    result = jinja2.Environment(
        loader=jinja2.PackageLoader("trigger_ml.report"),
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters |= {
        "number": formatting.number,
        "interval": formatting.interval,
        "percent": formatting.percent,
        "count": formatting.count,
        "duration": formatting.duration,
        "bytes": formatting.bytes_,
        "glue": formatting.glue,
    }
    # a global, so that the macros see it too
    result.globals["percentages"] = PERCENTAGES
    return result


def write_page(target: Path, template: str, **values: object) -> Path:
    """Fill a template and write the page, atomically.

    Parameters
    ----------
    target : Path
    template : str
        File name in ``templates/``.
    **values
        What the template names.

    Returns
    -------
    Path
        Of the page.
    """
    write_text(target, _environment().get_template(template).render(**values))
    return target
