"""The JSON documents of a run as typed, versioned views."""
