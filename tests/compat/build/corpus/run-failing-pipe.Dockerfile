FROM corpus/busybox
RUN false | true
RUN set -o pipefail; ! { false | true; }
CMD ["true"]
