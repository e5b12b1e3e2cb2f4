FROM corpus/busybox
ADD archive.tar.gz /unpacked/
ADD --unpack=false archive.tar.gz /kept/
ADD site/index.html /plain
CMD ["sh", "-c", "ls /unpacked /kept; cat /plain"]
#> prints /kept:
#> prints archive.tar.gz
#> prints
#> prints /unpacked:
#> prints index.html
#> prints style.css
#> prints index
