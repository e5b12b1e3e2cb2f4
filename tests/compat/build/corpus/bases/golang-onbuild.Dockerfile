FROM corpus/golang
WORKDIR /go/src/app
ONBUILD COPY go .
ONBUILD RUN go mod download && go install -o /go/bin/app .
CMD ["app"]
