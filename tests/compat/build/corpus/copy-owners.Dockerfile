FROM corpus/busybox
RUN addgroup -g 77 crew && adduser -D -u 66 -G crew sailor
COPY --chown=sailor:crew site/index.html /by-name
COPY --chown=sailor site/index.html /by-user
COPY --chown=1:2 site/index.html /by-number
COPY --chown=:crew site/index.html /by-group
CMD stat -c "%n %u:%g" /by-*
#> prints /by-group 0:77
#> prints /by-name 66:77
#> prints /by-number 1:2
#> prints /by-user 66:77
