FROM corpus/python
ENV PYTHONDONTWRITEBYTECODE=1
ENV PYTHONUNBUFFERED=1
WORKDIR /code
COPY python/requirements.txt /code/
RUN pip install --no-cache-dir -r requirements.txt
COPY python/app /code/
CMD python main.py
#> prints hello from python
#> config Cmd ["/bin/sh", "-c", "python main.py"]
