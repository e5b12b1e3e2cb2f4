"""The kernel's own words, a module per facility; no policy, no asyncio."""
