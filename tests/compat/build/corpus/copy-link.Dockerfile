FROM corpus/busybox AS files
RUN mkdir /a && echo linked > /a/file
FROM corpus/busybox
COPY --link --from=files /a /b
COPY --link site/ /c/
CMD ["cat", "/b/file", "/c/index.html"]
#> prints linked
#> prints index
