FROM corpus/busybox AS base
RUN echo base > /base
FROM base AS left
RUN cat /base > /left && echo left >> /left
FROM base AS right
RUN cat /base > /right && echo right >> /right
FROM base AS unused
RUN false
FROM corpus/busybox
COPY --from=left /left /
COPY --from=right /right /
CMD ["cat", "/left", "/right"]
#> prints base
#> prints left
#> prints base
#> prints right
