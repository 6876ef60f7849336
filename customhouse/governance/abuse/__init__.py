"""Abuse of a model by its prompts: patterns, a fast tier, a deep tier, and what they come to together."""
