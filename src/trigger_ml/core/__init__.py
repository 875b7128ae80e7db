"""What every room stands on: configuration, fixed-point arithmetic, files, errors."""
