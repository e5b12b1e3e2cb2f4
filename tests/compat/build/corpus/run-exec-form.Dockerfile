FROM corpus/busybox
ENV X=y
RUN ["/bin/sh", "-c", "echo $X > /out"]
RUN ["touch", "/a b"]
CMD ["sh", "-c", "cat /out; ls -d /a*"]
#> prints y
#> prints /a b
