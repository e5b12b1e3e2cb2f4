"""The verbs of the OCI command line `sampan-runtime`, a module per verb or family.

A module here has, for each of its verbs, a function that takes the parsed words and returns the exit code, and the
verb's option table. Everything is imported only when its verb is called: start-up time counts.
"""
