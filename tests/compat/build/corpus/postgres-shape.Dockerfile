FROM corpus/debian
ENV PG_MAJOR 17
ENV PATH $PATH:/usr/lib/postgresql/$PG_MAJOR/bin
ENV PG_VERSION 17.2-1
RUN mkdir -p /usr/lib/postgresql/$PG_MAJOR/bin && printf '#!/bin/sh\necho postgres %s "$PGDATA"\n' "$PG_VERSION" \
      > /usr/lib/postgresql/$PG_MAJOR/bin/postgres && chmod +x /usr/lib/postgresql/17/bin/postgres
ENV PGDATA /var/lib/postgresql/data
RUN install -d -m 1777 "$PGDATA" 2>/dev/null || { mkdir -p "$PGDATA" && chmod 1777 "$PGDATA"; }
VOLUME /var/lib/postgresql/data
COPY conf/docker-entrypoint.sh /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
#> prints postgres 17.2-1 /var/lib/postgresql/data
#> config StopSignal "SIGINT"
