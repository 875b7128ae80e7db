"""What firmware costs: predicted, synthesized, and measured by the vendors' tools."""
