FROM corpus/debian
COPY tools/mvn tools/java /usr/local/bin/
ENV JAVA_HOME=/opt/java/openjdk
