FROM corpus/busybox
WORKDIR /a
WORKDIR b
WORKDIR ../c/./d
RUN pwd > /out
ENV SUB=e
WORKDIR $SUB
CMD ["sh", "-c", "cat /out; pwd"]
#> prints /a/c/d
#> prints /a/c/d/e
#> config WorkingDir "/a/c/d/e"
