print("hello from python")  # noqa: T201
