"""The embedded stack: Postgres, Temporal, a local model and the app as child processes of `customhouse up`."""
