FROM corpus/alpine
RUN set -ex; \
	apkArch="$(uname -m)"; \
	case "$apkArch" in \
		arm*) arch='armv6' ;; \
		aarch64) arch='arm64' ;; \
		x86_64) arch='amd64' ;; \
		*) echo >&2 "error: unsupported architecture: $apkArch"; exit 1 ;; \
	esac; \
	test -n "$arch"
COPY conf/docker-entrypoint.sh /
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["echo", "traefik"]
LABEL org.opencontainers.image.vendor="Corpus" \
	org.opencontainers.image.title="Traefik shape" \
	org.opencontainers.image.description="A modern  reverse-proxy"
#> prints traefik
#> config Labels {"org.opencontainers.image.vendor": "Corpus", "org.opencontainers.image.title": "Traefik shape", "org.opencontainers.image.description": "A modern  reverse-proxy"}
