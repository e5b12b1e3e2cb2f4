FROM corpus/alpine
RUN apk add --no-cache --virtual .build-deps gcc make \
    && gcc --version > /built \
    && apk del .build-deps \
    && apk add --no-cache libgcc
CMD ["sh", "-c", "cat /built; ls /usr/bin/gcc || libgcc"]
#> prints gcc --version
#> prints libgcc
