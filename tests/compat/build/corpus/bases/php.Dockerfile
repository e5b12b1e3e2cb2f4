FROM corpus/debian
COPY tools/docker-php-ext-install /usr/local/bin/
WORKDIR /var/www/html
