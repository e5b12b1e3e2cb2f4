FROM corpus/debian
RUN set -eux; \
	if [ -f /etc/dpkg/dpkg.cfg.d/docker ]; then \
# if this file exists, a line in it may have to go
		grep -q '/usr/share/locale' /etc/dpkg/dpkg.cfg.d/docker; \
		sed -ri '/\/usr\/share\/locale/d' /etc/dpkg/dpkg.cfg.d/docker; \
	fi; \
	mkdir -p /usr/lib/locale; \
	echo en_US.UTF-8 > /usr/lib/locale/list
ENV LANG en_US.utf8
CMD echo $LANG $(cat /usr/lib/locale/list)
#> prints en_US.utf8 en_US.UTF-8
