"""Sizes that hold everywhere, with their reasons."""

from __future__ import annotations

CLAIM_CHECK_BYTES = 128 * 1024
"""Content above this goes to Postgres by reference. Temporal warns at 256 KiB a payload and refuses 2 MiB."""

HISTORY_PAYLOAD_BYTES = 1_500_000
"""The most that a client without Postgres may put into an invocation's input: under Temporal's 2 MB, with room for
encryption and for what else the input holds."""
