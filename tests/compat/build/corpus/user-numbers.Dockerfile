FROM corpus/busybox
USER 1000:2000
RUN id -u > /tmp/id && id -g >> /tmp/id
WORKDIR /made
CMD ["sh", "-c", "cat /tmp/id; stat -c %u /made"]
#> prints 1000
#> prints 2000
#> prints 0
