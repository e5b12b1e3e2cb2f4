FROM corpus/dotnet AS build
WORKDIR /source
COPY dotnet/*.csproj .
RUN dotnet restore
COPY dotnet .
RUN dotnet publish -c Release -o /app --no-restore
FROM corpus/dotnet
WORKDIR /app
COPY --from=build /app/publish ./
ENTRYPOINT ["dotnet", "app.dll"]
#> prints hello from dotnet
