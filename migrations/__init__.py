"""Alembic migrations; run by `customhouse.storage.migrate`."""
