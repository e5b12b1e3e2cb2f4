# syntax=docker/dockerfile:1
ARG PYTHON_VERSION=latest
FROM corpus/python:${PYTHON_VERSION} as base
WORKDIR /app
ARG UID=10001
RUN adduser \
    -D \
    -h "/nonexistent" \
    -s "/sbin/nologin" \
    -H \
    -u "${UID}" \
    appuser
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=python/requirements.txt,target=requirements.txt \
    pip install -r requirements.txt
USER appuser
COPY python/app .
EXPOSE 8000
CMD ["sh", "-c", "id -u; ls /app /usr/local/lib/site-packages"]
#> prints 10001
#> prints /app:
#> prints main.py
#> prints
#> prints /usr/local/lib/site-packages:
#> prints flask
#> prints requests
