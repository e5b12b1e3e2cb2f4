FROM corpus/busybox
WORKDIR /plain
COPY --parents many/a/b/two.txt ./deep/./x/y/file.txt /out/
CMD ["sh", "-c", "cd /out && find . -type f | sort"]
#> prints ./many/a/b/two.txt
#> prints ./x/y/file.txt
