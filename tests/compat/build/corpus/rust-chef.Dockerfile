FROM corpus/rust AS chef
WORKDIR /app
FROM chef AS planner
COPY rust .
RUN cargo chef prepare --recipe-path recipe.json
FROM chef AS builder
COPY --from=planner /app/recipe.json recipe.json
RUN cargo chef cook --release --recipe-path recipe.json
COPY rust .
RUN cargo build --release --bin app
FROM corpus/debian AS runtime
WORKDIR /app
COPY --from=builder /app/target/release/app /usr/local/bin
ENTRYPOINT ["/usr/local/bin/app"]
#> prints hello from rust
