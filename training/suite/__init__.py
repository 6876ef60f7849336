"""The project's own abuse suite, and how it is put together: docs/abuse-suite.md."""
