"""Benchmarks: they start what they measure, print figures and compare them. Each is one command; see README.md here."""
