FROM corpus/busybox
COPY . /all
CMD ["sh", "-c", "cd /all; ls -d secret-notes.txt site/access.log many/c/drop.tmp 2>/dev/null; ls many/c"]
#> prints keep.tmp
#> prints three.md
