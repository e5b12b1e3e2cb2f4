"""The parts of `sampan build`: the context that is sent, what is asked, how it is shown, what is said at the end."""
