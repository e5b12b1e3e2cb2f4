FROM corpus/debian
ENV GOLANG_VERSION=1.23.4 \
    GOTOOLCHAIN=local \
    GOPATH=/go
ENV PATH=$GOPATH/bin:/usr/local/go/bin:$PATH
COPY tools/go /usr/local/go/bin/go
RUN mkdir -p "$GOPATH/src" "$GOPATH/bin" && chmod -R 1777 "$GOPATH"
WORKDIR $GOPATH
