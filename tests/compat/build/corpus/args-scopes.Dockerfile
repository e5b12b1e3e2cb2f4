ARG OUTER=outer
ARG IMAGE=busybox
FROM corpus/${IMAGE} AS one
ARG OUTER
ARG INNER=inner-$OUTER
RUN echo "$OUTER $INNER" > /out
FROM corpus/${IMAGE}
COPY --from=one /out /one
RUN echo "[$OUTER]" > /two
CMD ["cat", "/one", "/two"]
#> prints outer inner-outer
#> prints []
