FROM corpus/busybox
RUN echo zero > /f
FROM corpus/busybox
RUN echo one > /f
FROM corpus/busybox
COPY --from=0 /f /zero
COPY --from=1 /f /one
CMD ["cat", "/zero", "/one"]
#> prints zero
#> prints one
