"""The launcher: one small warm process that forks a monitor per container, and how a daemon spawns it.

It exists because an interpreter's start costs ten milliseconds and more, and a fork of a warm one costs less than one.
Its life is that of its daemon's connection; monitors are sessions of their own and outlive it.
"""
