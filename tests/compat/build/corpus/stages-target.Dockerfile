FROM corpus/busybox AS dev
CMD ["echo", "dev"]
FROM dev AS prod
RUN false
CMD ["echo", "prod"]
#> target DEV
#> prints dev
