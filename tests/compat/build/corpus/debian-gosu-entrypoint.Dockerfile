FROM corpus/debian
RUN addgroup -S -g 999 app && adduser -S -D -H -u 999 -G app app
COPY --chmod=755 conf/docker-entrypoint.sh /usr/local/bin/
RUN chown -R app:app /tmp && mkdir -p /data && chown app:app /data
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["gosu", "app", "id", "-un"]
#> prints app
#> config Volumes {"/data": {}}
