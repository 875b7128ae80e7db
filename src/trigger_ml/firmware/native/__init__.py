"""The network as dependency-free C++ that evaluates many events at once, bit for bit."""
