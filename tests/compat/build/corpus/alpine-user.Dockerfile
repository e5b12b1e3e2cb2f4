FROM corpus/alpine
RUN addgroup -g 11211 memcache && adduser -D -u 11211 -G memcache memcache
USER memcache
WORKDIR /home/memcache
RUN echo mine > file && stat -c %U:%G file > owner
CMD ["cat", "owner"]
#> prints memcache:memcache
#> config User "memcache"
