FROM corpus/debian
ENV HTTPD_PREFIX=/usr/local/apache2
ENV PATH=$HTTPD_PREFIX/bin:$PATH
RUN mkdir -p "$HTTPD_PREFIX"
WORKDIR $HTTPD_PREFIX
COPY <<-'EOF' bin/httpd-foreground
	#!/bin/sh
	set -e
	rm -f /usr/local/apache2/logs/httpd.pid
	echo "httpd in $PWD"
EOF
RUN chmod 755 bin/httpd-foreground
STOPSIGNAL SIGWINCH
EXPOSE 80
CMD ["httpd-foreground"]
#> prints httpd in /usr/local/apache2
