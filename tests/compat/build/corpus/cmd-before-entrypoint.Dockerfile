FROM corpus/busybox
CMD ["from", "here"]
ENTRYPOINT ["echo", "entry"]
#> prints entry from here
