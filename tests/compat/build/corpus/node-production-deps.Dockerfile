FROM corpus/node AS base
WORKDIR /app
FROM base AS deps
COPY node/package.json node/package-lock.json ./
RUN npm ci
FROM base AS prod-deps
ENV NODE_ENV=production
COPY --from=deps /app ./
RUN npm prune
FROM base
COPY --from=prod-deps /app/node_modules node_modules
CMD ["sh", "-c", "ls -a node_modules | tail -n +3"]
#> prints left-pad
