FROM corpus/golang AS base
WORKDIR /src
COPY go .
RUN go mod download
FROM base AS test
RUN go test ./... > /results
FROM base AS build
RUN go build -o /app .
FROM corpus/busybox
COPY --from=build /app /app
COPY --from=test /results /results
CMD ["cat", "/results"]
#> prints ok
