"""The API's JSON as structs; knows nothing of engine."""
