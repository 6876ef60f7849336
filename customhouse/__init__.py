"""Customhouse: governed calls to large language models, each one a durable Temporal workflow."""

__version__ = "0.1.0"
