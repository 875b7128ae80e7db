"""The ways to evaluate a network that are compared with the integer interpreter."""
