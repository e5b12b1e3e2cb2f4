"""Versions, written once: sampan's own, which the programs tell and pyproject.toml reads here, and the OCI's."""

VERSION = "0.1.0"
OCI_RUNTIME = "1.2.0"  # the runtime specification that documents are written by, and the newest that is known
