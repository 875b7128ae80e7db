"""Names for generated code, made from a user's layer names so that no list of reserved words is needed."""

import re

__all__ = ["LONGEST", "word"]

LONGEST = 80
"""Characters kept of a user's name: tools and file systems have limits."""


def word(name: str) -> str:
    """Letters, digits and single underscores of a name, none at its ends; to be put behind a prefix."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)[:LONGEST]
    # VHDL allows neither two underscores in a row nor one at the end
    return re.sub(r"_+", "_", text).strip("_") or "unnamed"
