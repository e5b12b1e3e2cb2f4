FROM corpus/node
WORKDIR /usr/src/app
ONBUILD ARG NODE_ENV
ONBUILD ENV NODE_ENV=$NODE_ENV
ONBUILD COPY node/package.json node/package-lock.json /usr/src/app/
ONBUILD RUN npm ci
ONBUILD COPY node /usr/src/app
CMD [ "npm", "start" ]
