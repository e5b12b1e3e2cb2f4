FROM corpus/rust AS build
WORKDIR /app
RUN --mount=type=bind,source=rust/src,target=src \
    --mount=type=bind,source=rust/Cargo.toml,target=Cargo.toml \
    --mount=type=cache,target=/app/target/ \
    --mount=type=cache,target=/usr/local/cargo/registry/ \
    <<EOF
set -e
cargo build --locked --release
cp ./target/release/app /bin/server
EOF
RUN test ! -e /app/target/release
FROM corpus/busybox
COPY --from=build /bin/server /bin/
CMD ["/bin/server"]
#> prints hello from rust
