FROM corpus/busybox
ONBUILD RUN <<EOF
echo first > /made
echo second >> /made
EOF
ONBUILD USER 1234
