FROM corpus/debian
ENV LANG=C.UTF-8 PYTHON_VERSION=3.13.1
COPY tools/pip tools/python /usr/local/bin/
RUN set -eux; \
	for src in pip python; do \
		ln -s "$src" "/usr/local/bin/${src}3"; \
	done
CMD ["python3"]
