FROM corpus/debian
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
COPY tools/cargo /usr/local/cargo/bin/
