"""A model of yours without events: to firmware, to an estimate, to a list of what stands in the way."""
