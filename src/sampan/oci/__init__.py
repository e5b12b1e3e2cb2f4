"""Published formats as frozen structs."""
