"""Names in users' networks: a small DNS server as a process of its own, which outlives the daemon."""

PACKET = 1 << 18  # the longest that the daemon and it say to each other
