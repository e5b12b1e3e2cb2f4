FROM corpus/busybox
RUN mkdir -p /d/sub && echo old > /d/sub/f && echo keep > /d/keep
RUN rm -r /d/sub && mkdir /d/sub && echo new > /d/sub/g
RUN rm /d/keep && ln -s sub/g /d/keep && chmod 700 /d
CMD ["sh", "-c", "cd /d; ls sub; cat keep; stat -c %a ."]
#> prints g
#> prints new
#> prints 700
