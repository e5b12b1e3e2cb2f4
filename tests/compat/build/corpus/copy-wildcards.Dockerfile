FROM corpus/busybox
WORKDIR /w
COPY many/a/*.txt many/*/three.m? ./
COPY s*te/index.h* renamed
CMD ["sh", "-c", "ls; cat renamed"]
#> prints one.txt
#> prints renamed
#> prints three.md
#> prints index
