FROM corpus/busybox
COPY --exclude=**/*.md --exclude=**/two.* many /out
CMD ["sh", "-c", "cd /out && find . -type f | sort"]
#> prints ./a/one.txt
#> prints ./c/keep.tmp
