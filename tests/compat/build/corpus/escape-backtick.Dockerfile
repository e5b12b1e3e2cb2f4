# escape=`
FROM corpus/busybox
ENV WINDOWS=c:\dir\file
RUN echo one > /out && `
    echo two >> /out
CMD ["sh", "-c", "cat /out; printf '%s\\n' \"$WINDOWS\""]
#> prints one
#> prints two
#> prints c:\dir\file
