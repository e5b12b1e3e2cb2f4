"""Dockerfiles: language, graph, cache, steps."""
