"""Volumes and binds."""
