FROM corpus/node AS build
WORKDIR /app
COPY node/package.json node/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY node/ .
RUN npm run build
FROM corpus/nginx AS production
COPY --from=build /app/dist /usr/share/nginx/html
#> prints nginx serves <h1>built</h1>
#> config StopSignal "SIGQUIT"
