FROM --platform=$BUILDPLATFORM corpus/golang AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY go .
RUN go mod download
RUN GOOS=${TARGETOS} GOARCH=${TARGETARCH:?unknown} go build -o /bin/app .
FROM corpus/busybox
ARG TARGETARCH
COPY --from=build /bin/app /bin/app
RUN [ "$(/bin/app)" = "hello from go (linux/$TARGETARCH)" ]
CMD ["sh", "-c", "/bin/app | cut -d/ -f1"]
#> prints hello from go (linux
