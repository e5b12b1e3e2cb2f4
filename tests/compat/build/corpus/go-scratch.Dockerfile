FROM corpus/golang AS build
WORKDIR /src
COPY go .
RUN go mod download && go build -o /hello -ldflags=-s .
FROM scratch
COPY --from=corpus/busybox /bin/busybox /bin/busybox
COPY --from=corpus/busybox /bin/sh /bin/sh
COPY --from=build /hello /hello
USER 65532:65532
ENTRYPOINT ["/hello"]
#> prints hello from go (linux/native)
#> config User "65532:65532"
