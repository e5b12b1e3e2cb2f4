FROM corpus/node-onbuild
#> arg NODE_ENV=production
#> prints hello from node
#> config Cmd ["npm", "start"]
