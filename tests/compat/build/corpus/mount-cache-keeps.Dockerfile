FROM corpus/busybox AS first
RUN --mount=type=cache,id=corpus-keeps,target=/c echo "kept" > /c/f
FROM first
RUN --mount=type=cache,id=corpus-keeps,target=/other cp /other/f /out
RUN --mount=type=cache,id=corpus-own,target=/c,uid=5,gid=6,mode=0750 stat -c "%u:%g %a" /c >> /out
CMD ["cat", "/out"]
#> prints kept
#> prints 5:6 750
