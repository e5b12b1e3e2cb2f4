FROM corpus/debian
RUN adduser -D -u 1000 node
ENV NODE_VERSION=22.12.0
COPY tools/node tools/npm /usr/local/bin/
COPY <<'EOF' /usr/local/bin/docker-entrypoint.sh
#!/bin/sh
set -e
# an option or a word that is no program is meant for node
if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ]; then
  set -- node "$@"
fi
exec "$@"
EOF
RUN chmod +x /usr/local/bin/docker-entrypoint.sh
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["node"]
