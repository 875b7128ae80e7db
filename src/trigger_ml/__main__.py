"""``python -m trigger_ml``."""

from trigger_ml.cli import main

if __name__ == "__main__":
    main()
