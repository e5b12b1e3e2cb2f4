FROM corpus/busybox
ENV V=/usr/lib/libx.so.1.2 EMPTY=
ENV BASE=${V##*/} DIR=${V%/*} MAJOR=${V%.*} SLASHES=${V//\//-} FIRST=${V/lib/LIB} ELSE=${EMPTY:-else} SET=${V:+set}
ENV QUOTED="a  $V" SINGLE='$V' ESCAPED=\$V SPACED=a\ b
CMD ["sh", "-c", "printf '%s\\n' \"$BASE\" \"$DIR\" \"$MAJOR\" \"$SLASHES\" \"$FIRST\" \"$ELSE$SET\" \"$QUOTED\" \"$SINGLE\" \"$ESCAPED\" \"$SPACED\""]
#> prints libx.so.1.2
#> prints /usr/lib
#> prints /usr/lib/libx.so.1
#> prints -usr-lib-libx.so.1.2
#> prints /usr/LIB/libx.so.1.2
#> prints elseset
#> prints a  /usr/lib/libx.so.1.2
#> prints $V
#> prints $V
#> prints a b
