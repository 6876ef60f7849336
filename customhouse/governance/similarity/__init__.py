"""Prompts as vectors: how near two of them are, and what that means. No I/O, but for the embedder's own file."""
