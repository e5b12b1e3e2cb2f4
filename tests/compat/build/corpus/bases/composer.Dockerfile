FROM corpus/busybox
COPY tools/composer /usr/bin/composer
