import sys
from pathlib import Path

# strategies.py is shared by the tests of this folder and by benchmarks/firmware.py
sys.path.insert(0, str(Path(__file__).parent))
