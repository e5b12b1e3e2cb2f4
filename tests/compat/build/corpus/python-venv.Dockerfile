FROM corpus/python AS builder
RUN python -m venv /opt/venv
ENV VIRTUAL_ENV=/opt/venv PATH="/opt/venv/bin:$PATH"
COPY python/requirements.txt .
RUN pip install -r requirements.txt
FROM corpus/python
COPY --from=builder /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
CMD ["sh", "-c", "echo $PATH | cut -d: -f1; ls /opt/venv/lib/site-packages"]
#> prints /opt/venv/bin
#> prints flask
#> prints requests
