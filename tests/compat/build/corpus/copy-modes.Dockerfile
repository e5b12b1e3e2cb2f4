FROM corpus/busybox
COPY --chmod=4750 site/index.html /octal
COPY --chmod=u=rwx,go=rX many /symbolic
COPY conf/docker-entrypoint.sh /kept
CMD ["stat", "-c", "%n %a", "/octal", "/symbolic/a/one.txt", "/symbolic/a", "/kept"]
#> prints /octal 4750
#> prints /symbolic/a/one.txt 755
#> prints /symbolic/a 755
#> prints /kept 755
