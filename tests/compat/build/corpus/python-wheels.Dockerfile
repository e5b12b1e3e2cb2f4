FROM corpus/python as wheels
COPY python/requirements.txt /
RUN ["pip", "wheel", "--wheel-dir", "/wheels", "-r", "/requirements.txt"]
FROM corpus/python
COPY --from=wheels /wheels /wheels
RUN --mount=type=bind,from=wheels,source=/requirements.txt,target=/r.txt \
    pip install --no-cache-dir --find-links /wheels -r /r.txt && rm -r /wheels
CMD ls /usr/local/lib/site-packages /wheels 2>/dev/null | sort
#> prints /usr/local/lib/site-packages:
#> prints flask
#> prints requests
