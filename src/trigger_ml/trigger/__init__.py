"""The camera's own trigger."""
