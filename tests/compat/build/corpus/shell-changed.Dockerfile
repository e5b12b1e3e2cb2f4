FROM corpus/busybox
SHELL ["/bin/sh", "-eux", "-c"]
RUN false || true; echo "$0 $-" > /flags
ENTRYPOINT cat /flags | tr -d '\n' | wc -l
#> prints 0
#> config Entrypoint ["/bin/sh", "-eux", "-c", "cat /flags | tr -d '\\n' | wc -l"]
#> config Shell ["/bin/sh", "-eux", "-c"]
