"""The fixed-point network: nodes, bounds, the integer interpreter, proofs about them."""
