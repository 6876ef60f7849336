"""Many more calls than a budget has room for, at once, while their process is killed; see `__main__.py`."""
