"""The `sampan` command: one module per command, formats, terminal."""

CLIENT_VERSION = "0.1.0"
