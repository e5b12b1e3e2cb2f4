FROM corpus/busybox AS checked
HEALTHCHECK CMD ["true"]
FROM checked
HEALTHCHECK NONE
CMD ["true"]
#> config Healthcheck {"Test": ["NONE"]}
