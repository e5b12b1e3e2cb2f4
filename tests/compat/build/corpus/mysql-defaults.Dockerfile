FROM corpus/debian
ENV MYSQL_MAJOR=innovation
ENV MYSQL_VERSION=9.1.0-1
RUN set -eux; \
	mkdir -p /etc/mysql/conf.d; \
	{ \
		echo '[mysqld]'; \
		echo 'skip-host-cache'; \
		echo "# $MYSQL_VERSION"; \
	} > /etc/mysql/conf.d/docker.cnf
CMD ["cat", "/etc/mysql/conf.d/docker.cnf"]
#> prints [mysqld]
#> prints skip-host-cache
#> prints # 9.1.0-1
