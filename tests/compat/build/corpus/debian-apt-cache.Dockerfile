FROM corpus/debian
RUN rm -f /etc/apt/apt.conf.d/docker-clean
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install -y gcc
CMD ["sh", "-c", "gcc -v; ls -A /var/cache/apt /var/lib/apt 2>&1 | grep -c deb"]
#> prints gcc -v
#> prints 0
#> exits 1
