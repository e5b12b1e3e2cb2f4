FROM corpus/busybox
MAINTAINER Someone <someone@example.test>
LABEL version="1.0" multi.label1="value1" "quoted key"="x y" other='v$x'
LABEL old style value
EXPOSE 80 53/udp 8000-8002
CMD ["true"]
#> config Labels {"version": "1.0", "multi.label1": "value1", "quoted key": "x y", "other": "v$x", "old": "style value"}
#> config ExposedPorts {"53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {}, "8002/tcp": {}}
