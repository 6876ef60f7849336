"""Pure rules of rate limits, blocks and behaviour."""
