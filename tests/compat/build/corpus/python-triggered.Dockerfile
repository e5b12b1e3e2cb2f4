FROM corpus/python-onbuild
CMD [ "python", "./main.py" ]
#> prints hello from python
