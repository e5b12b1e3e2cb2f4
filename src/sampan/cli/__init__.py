"""The `sampan` command: one module per command, formats, terminal."""
