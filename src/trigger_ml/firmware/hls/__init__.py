"""The network as an hls4ml project, and its C simulation."""
