FROM corpus/maven AS build
WORKDIR /workspace
COPY java/pom.xml .
RUN --mount=type=cache,target=/root/.m2 mvn -B dependency:go-offline
COPY java/src src
RUN --mount=type=cache,target=/root/.m2 mvn -B dependency:resolve package
FROM corpus/maven
COPY --from=build /workspace/target/*.jar /app.jar
ENTRYPOINT ["java","-jar","/app.jar"]
#> prints hello from java
