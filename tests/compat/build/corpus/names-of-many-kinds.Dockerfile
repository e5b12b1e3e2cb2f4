FROM corpus/busybox
RUN mkdir "/wörter" && touch "/wörter/ü" "/wörter/a b" && printf x > "/wörter/$(printf 'new\nline')"
COPY --from=corpus/busybox /etc/passwd /wörter/
CMD ["sh", "-c", "ls /wörter | wc -l"]
#> prints 4
