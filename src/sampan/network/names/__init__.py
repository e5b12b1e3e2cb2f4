"""Names in users' networks: a small DNS server as a process of its own, which outlives the daemon."""

ADDRESS = "127.0.0.11"  # of the name server, as an owner sees it
PACKET = 1 << 18  # the longest that the daemon and it say to each other
