# syntax=docker/dockerfile:1
FROM corpus/golang AS build
WORKDIR /src
COPY go/go.mod go/go.sum ./
RUN go mod download
COPY go/*.go ./
RUN CGO_ENABLED=0 GOOS=linux go build -o /out/app .

FROM corpus/debian
COPY --from=build /out/app /usr/local/bin/app
EXPOSE 8080
ENTRYPOINT ["app"]
#> prints hello from go (linux/native)
#> config ExposedPorts {"8080/tcp": {}}
