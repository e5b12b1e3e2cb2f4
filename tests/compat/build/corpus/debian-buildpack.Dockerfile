FROM corpus/debian
RUN set -ex; \
	apt-get update; \
	apt-get install -y --no-install-recommends \
		autoconf \
		automake \
		$( \
			if [ -n "$EXTRA" ]; then echo "$EXTRA"; else echo "default-libmysqlclient-dev"; fi \
		) \
	; \
	rm -rf /var/lib/apt/lists/*
CMD ["wc", "-l", "/var/lib/dpkg/status"]
#> prints 3 /var/lib/dpkg/status
