"""Content, names, layers and root file systems."""
