FROM corpus/debian
COPY tools/dotnet /usr/local/bin/
