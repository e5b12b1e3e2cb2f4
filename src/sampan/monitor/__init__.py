"""One process per container: parent of its pid 1, owner of its stdio, log and exit record."""
