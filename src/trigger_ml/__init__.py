"""From Cherenkov telescope images to verified FPGA trigger firmware, with what it costs in physics."""
