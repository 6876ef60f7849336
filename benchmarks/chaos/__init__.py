"""Kills parts of the stack at every step boundary and at random times, and audits what is left; see `__main__.py`."""
