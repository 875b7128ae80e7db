"""Codes of the particles that start showers."""

__all__ = ["PARTICLES", "PRIMARY_IDS"]

PRIMARY_IDS = {"gamma": 0, "electron": 1, "proton": 101, "helium": 402, "oxygen": 1608, "iron": 5626}
"""sim_telarray's codes: 0 and 1, else a hundred times the mass number plus the charge."""
PARTICLES = {code: name for name, code in PRIMARY_IDS.items()}
"""The same by code."""
