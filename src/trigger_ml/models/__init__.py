"""Float models."""
