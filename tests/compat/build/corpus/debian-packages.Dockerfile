FROM corpus/debian
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates \
        # a comment between the packages
        curl \
        git=1:2.47 \
    && rm -rf /var/lib/apt/lists/* \
    && apt-get clean
CMD ["sh", "-c", "curl x; cat /var/lib/dpkg/status; ls /var/lib/apt/lists"]
#> prints curl x
#> prints ca-certificates
#> prints curl
#> prints git
