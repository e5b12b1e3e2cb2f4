#!/bin/sh
set -e
if [ "$1" = serve ]; then
    echo "initialised for $(id -un)"
fi
exec "$@"
