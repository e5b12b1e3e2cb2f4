FROM corpus/busybox
COPY ["with space/a file.txt", "/to here/"]
CMD ["cat", "/to here/a file.txt"]
#> prints spaced
