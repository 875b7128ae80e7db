"""The fixed-point network and everything made from it."""
