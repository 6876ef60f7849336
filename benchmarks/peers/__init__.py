"""The same load on LiteLLM's proxy and on us; see `__main__.py`."""
