FROM corpus/nginx
COPY conf/server.conf /etc/nginx/conf.d/default.conf
COPY site /usr/share/nginx/html
RUN test "$(readlink /var/log/nginx/access.log)" = /dev/stdout
#> prints nginx serves index
