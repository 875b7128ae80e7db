"""Telescope events: tables, cameras, readers, and the feed to the models."""
