FROM corpus/busybox
RUN mkfifo /pipe && mknod /null c 1 3 && ln /bin/busybox /hard && chmod u+s /hard && setfattr -n user.x -v y /null 2>/dev/null; true
CMD ["sh", "-c", "stat -c '%F %n' /pipe /null; stat -c %a /hard"]
#> prints fifo /pipe
#> prints character special file /null
#> prints 4755
