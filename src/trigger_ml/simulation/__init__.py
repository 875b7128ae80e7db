"""The event generator."""
