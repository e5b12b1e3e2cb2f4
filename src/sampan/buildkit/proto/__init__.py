"""BuildKit's messages; the modules beside the .proto files are written by tools/protos."""
