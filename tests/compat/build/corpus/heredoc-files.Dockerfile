FROM corpus/busybox
ARG NAME=world
COPY <<EOF <<'RAW' /etc/made/
hello $NAME "quoted"
EOF
hello $NAME
RAW
COPY <<-TABS /etc/tabs
	left
		middle
	TABS
CMD ["cat", "/etc/made/EOF", "/etc/made/RAW", "/etc/tabs"]
#> prints hello world "quoted"
#> prints hello $NAME
#> prints left
#> prints middle
