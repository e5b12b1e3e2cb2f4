FROM corpus/busybox
RUN <<'EOF'
#!/bin/sh -e
echo "$0" | sed 's,.*/,,' > /out
echo "by itself" >> /out
EOF
CMD ["tail", "-n", "1", "/out"]
#> prints by itself
