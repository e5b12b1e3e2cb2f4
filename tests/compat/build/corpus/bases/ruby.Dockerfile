FROM corpus/debian
COPY tools/bundle /usr/local/bin/
ENV BUNDLE_PATH=/usr/local/bundle
