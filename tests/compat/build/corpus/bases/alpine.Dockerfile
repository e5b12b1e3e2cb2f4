FROM corpus/busybox
COPY --chmod=0755 tools/apk /sbin/apk
CMD ["/bin/sh"]
