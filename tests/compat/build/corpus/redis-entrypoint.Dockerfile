FROM corpus/alpine
RUN set -eux; addgroup -S -g 1000 redis; adduser -S -G redis -u 999 redis
RUN mkdir /data && chown redis:redis /data
VOLUME /data
WORKDIR /data
COPY conf/docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 6379
CMD ["stat", "-c", "%U", "/data"]
#> prints redis
