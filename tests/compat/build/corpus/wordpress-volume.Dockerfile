FROM corpus/php
RUN mkdir -p /var/www/html && echo wp > /var/www/html/index.php && chown -R 33:33 /var/www/html
VOLUME /var/www/html
CMD ["stat", "-c", "%u %n", "/var/www/html/index.php"]
#> prints 33 /var/www/html/index.php
