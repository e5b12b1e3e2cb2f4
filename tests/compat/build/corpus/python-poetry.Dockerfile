FROM corpus/python AS base
ARG POETRY_VERSION=1.8.3
ENV POETRY_HOME="/opt/poetry" \
    POETRY_NO_INTERACTION=1 \
    POETRY_VERSION=${POETRY_VERSION}
ENV PATH="$POETRY_HOME/bin:$PATH"
FROM base AS poetry
RUN --mount=type=cache,target=/root/.cache \
    pip install "poetry==$POETRY_VERSION"
COPY python/pyproject.toml ./
FROM base AS runtime
COPY --from=poetry /usr/local/lib/site-packages /usr/local/lib/site-packages
LABEL poetry.version="$POETRY_VERSION"
CMD ["cat", "/usr/local/lib/site-packages/poetry"]
#> arg POETRY_VERSION=2.0.0
#> prints poetry==2.0.0
#> config Labels {"poetry.version": "2.0.0"}
