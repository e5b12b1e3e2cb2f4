FROM corpus/busybox
COPY many /one
COPY many/ /two/
COPY many/a many/c /three/
COPY site/index.html /four/five/
COPY site/index.html /six
CMD ["sh", "-c", "ls -d /one/a /two/a /three/b /four/five/index.html; cat /six"]
#> prints /four/five/index.html
#> prints /one/a
#> prints /three/b
#> prints /two/a
#> prints index
