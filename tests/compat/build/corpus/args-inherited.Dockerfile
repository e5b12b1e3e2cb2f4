FROM corpus/busybox AS parent
ARG SHARED=from-parent
ENV KEPT=$SHARED
FROM parent
RUN echo "$SHARED $KEPT" > /out
CMD ["cat", "/out"]
#> prints from-parent from-parent
