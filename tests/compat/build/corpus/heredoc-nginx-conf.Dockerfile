FROM corpus/nginx
ARG PORT=8080
COPY --chmod=640 --chown=7:8 <<EOF /etc/nginx/conf.d/site.conf
server {
    listen ${PORT};
    root \$document_root;
}
EOF
CMD ["sh", "-c", "cat /etc/nginx/conf.d/site.conf; stat -c '%a %u:%g' /etc/nginx/conf.d/site.conf"]
#> prints server {
#> prints     listen 8080;
#> prints     root $document_root;
#> prints }
#> prints 640 7:8
