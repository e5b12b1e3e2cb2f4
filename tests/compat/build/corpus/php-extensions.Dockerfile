FROM corpus/php
RUN docker-php-ext-install pdo_mysql opcache
COPY php/index.php ./
CMD ["sh", "-c", "cat /usr/local/lib/php/conf.ini; ls"]
#> prints extension=pdo_mysql
#> prints extension=opcache
#> prints index.php
