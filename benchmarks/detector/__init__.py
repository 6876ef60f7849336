"""How well abuse is told from harmless text, and how fast: `python -m benchmarks.detector`, or `make detector`."""
