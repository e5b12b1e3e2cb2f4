FROM corpus/debian
COPY --chown=10:20 conf/server.conf conf/extra.conf /etc/rabbitmq/conf.d/
CMD ["stat", "-c", "%n %u:%g", "/etc/rabbitmq/conf.d/extra.conf", "/etc/rabbitmq/conf.d/server.conf"]
#> prints /etc/rabbitmq/conf.d/extra.conf 10:20
#> prints /etc/rabbitmq/conf.d/server.conf 10:20
