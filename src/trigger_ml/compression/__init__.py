"""Quantization and pruning of float models."""
