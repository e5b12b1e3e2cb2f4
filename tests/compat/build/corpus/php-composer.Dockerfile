FROM corpus/composer AS vendor
WORKDIR /app
COPY php/composer.json .
RUN composer install
FROM corpus/php
COPY --from=corpus/composer /usr/bin/composer /usr/bin/composer
COPY --from=vendor /app/vendor ./vendor
CMD ["sh", "-c", "cat vendor/installed; command -v composer"]
#> prints {"require": {}}
#> prints /usr/bin/composer
