FROM corpus/busybox AS base
CMD ["from", "base"]
FROM base
ENTRYPOINT ["echo", "entry"]
#> prints entry
#> config Cmd null
