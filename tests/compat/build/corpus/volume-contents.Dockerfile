FROM corpus/busybox
RUN mkdir /v && echo before > /v/f
VOLUME ["/v", "/w"]
RUN echo after > /v/g
CMD ["sh", "-c", "cat /v/f; ls /w | wc -l"]
#> prints before
#> prints 0
#> config Volumes {"/v": {}, "/w": {}}
