ARG TAG=missing
FROM corpus/busybox:${TAG}
ARG A=default
ARG B
ARG C
ENV A=env-$A
RUN echo "$A $B [$C]" > /out
CMD ["cat", "/out"]
#> arg TAG=latest
#> arg A=given
#> arg B=b
#> prints env-given b []
