FROM corpus/golang AS build
WORKDIR /src
ENV GOCACHE=/cache/build GOMODCACHE=/cache/mod
RUN --mount=type=cache,target=/cache/mod,id=corpus-mod \
    --mount=type=bind,source=go/go.mod,target=go.mod \
    go mod download && test -e /cache/mod/downloaded
RUN --mount=type=cache,target=/cache/mod,id=corpus-mod \
    --mount=type=cache,target=/cache/build \
    --mount=type=bind,source=go,target=. \
    go build -o /bin/server ./cmd/server
RUN test ! -e /cache/mod/downloaded && test ! -e /src/main.go
FROM corpus/busybox AS final
COPY --from=build /bin/server /bin/
CMD ["/bin/server"]
#> prints serving (linux/native)
