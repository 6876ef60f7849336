"""Labelled prompts of our own making: templates with slots, drawn by a seed. No public benchmark was read for them."""
