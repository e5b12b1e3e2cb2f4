FROM corpus/busybox
RUN <<EOF
  name=inside
  echo "one $name" > /out
  cat <<NESTED >> /out
two $name
NESTED
EOF
CMD ["cat", "/out"]
#> prints one inside
#> prints two inside
