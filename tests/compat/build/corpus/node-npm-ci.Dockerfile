FROM corpus/node
WORKDIR /usr/src/app
COPY node/package*.json ./
RUN npm ci --omit=dev
COPY node .
ENV NODE_ENV production
EXPOSE 3000
CMD ["node", "src/index.js"]
#> prints hello from node
#> config Entrypoint ["docker-entrypoint.sh"]
