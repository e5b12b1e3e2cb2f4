FROM corpus/busybox
RUN --mount=type=tmpfs,target=/scratch,size=1m \
    echo x > /scratch/f && grep -q ' /scratch tmpfs' /proc/mounts
CMD ["sh", "-c", "ls -A /scratch | wc -l"]
#> prints 0
