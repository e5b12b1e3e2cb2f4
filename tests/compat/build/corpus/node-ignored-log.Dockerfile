FROM corpus/node
COPY node /app
COPY site /site
CMD ["sh", "-c", "find /app /site -name '*.log' | wc -l; ls /site"]
#> prints 0
#> prints index.html
#> prints style.css
