FROM corpus/python
RUN <<EOF
set -e
pip install one
pip install two
EOF
RUN python3 <<PY > /greeting
print("made by a heredoc")
PY
CMD ["cat", "/greeting"]
#> prints made by a heredoc
