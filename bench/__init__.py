"""Side by side with Docker, runc and crun: the same work, in turn, in one run; ratios, not milliseconds."""
