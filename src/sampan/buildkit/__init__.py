"""BuildKit's protocol over gRPC, as buildx and compose speak it to a daemon: a face of `build`, not another builder.

`control` and `gateway` are what a client calls on `/grpc`; `sessions` and what stands on it (`filesync`, `callbacks`,
`exports`) is what the daemon calls on `/session`; `frontend` reads what is asked, `statuses` tells how it goes.
"""
