FROM corpus/debian
RUN set -eux; \
	addgroup --gid 99 --system haproxy; \
	adduser -S -D -H -u 99 -G haproxy haproxy; \
	mkdir -p /var/lib/haproxy; \
	chown haproxy:haproxy /var/lib/haproxy
COPY conf/docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
USER haproxy
WORKDIR /var/lib/haproxy
CMD ["sh", "-c", "id -un; pwd"]
#> prints haproxy
#> prints /var/lib/haproxy
