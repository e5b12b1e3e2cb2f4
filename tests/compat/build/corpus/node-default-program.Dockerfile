FROM corpus/node
WORKDIR /app
COPY --chown=node:node node/src .
USER node
CMD ["index.js"]
#> prints hello from node
