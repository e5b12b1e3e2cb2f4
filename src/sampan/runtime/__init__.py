"""From an OCI bundle to a process."""
