FROM corpus/busybox
RUN { cat; cat <&3; } <<ONE 3<<'TWO' > /out
first $((1<<2))
ONE
second $HOME
TWO
RUN sed s/s/S/ > /up <<-EOF && cat /up >> /out
	shifted
EOF
CMD ["cat", "/out"]
#> prints first 4
#> prints second $HOME
#> prints Shifted
