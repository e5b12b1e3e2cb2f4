FROM corpus/busybox AS data
RUN mkdir /d && echo from-stage > /d/f
FROM corpus/busybox
RUN --mount=type=bind,from=data,source=/d,target=/m,rw \
    cp /m/f /seen && echo changed > /m/f && cat /m/f >> /seen
RUN --mount=from=data,source=/d,target=/m cat /m/f >> /seen; ! touch /m/x
RUN --mount=target=/ctx cat /ctx/site/index.html >> /seen
CMD ["cat", "/seen"]
#> prints from-stage
#> prints changed
#> prints from-stage
#> prints index
