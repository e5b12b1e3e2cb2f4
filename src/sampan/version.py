"""The version of sampan, written once: the programs tell it, and pyproject.toml reads it here."""

VERSION = "0.1.0"
