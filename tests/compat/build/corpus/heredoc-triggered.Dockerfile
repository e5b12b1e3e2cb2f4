FROM corpus/heredoc-onbuild
CMD ["sh", "-c", "cat /made; id -u"]
#> prints first
#> prints second
#> prints 1234
