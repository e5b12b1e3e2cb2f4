"""Networks, addresses, bridges, ports and names; knows network namespaces, never containers."""
