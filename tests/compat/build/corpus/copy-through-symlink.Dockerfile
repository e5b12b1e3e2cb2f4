FROM corpus/busybox
RUN mkdir -p /real/dir && ln -s /real /link && ln -s dir /real/alias
COPY site/index.html /link/alias/
CMD ["sh", "-c", "readlink /link; readlink /real/alias; cat /real/dir/index.html"]
#> prints /real
#> prints dir
#> prints index
