"""Trigger chain of the camera."""
