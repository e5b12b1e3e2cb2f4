FROM corpus/python
WORKDIR /usr/src/app
ONBUILD COPY python/requirements.txt /usr/src/app/
ONBUILD RUN pip install --no-cache-dir -r requirements.txt
ONBUILD COPY python/app /usr/src/app
