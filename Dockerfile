# syntax=docker/dockerfile:1
# docker build -t turnout .
# docker run --network host -v ./turnout.yaml:/etc/turnout/turnout.yaml:ro -v turnout:/data turnout
FROM node:26-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY rolldown.config.ts ./
COPY src ./src
RUN npm run build

FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# dist has them in it; these bring their licences. The optional ones are Node itself, which the image has.
RUN npm ci --omit=dev --omit=optional

FROM node:26-slim
ENV NODE_ENV=production
COPY --from=dependencies /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
COPY package.json LICENSE /app/
COPY config /app/config
# The store's default path is relative, so what must survive the container stands in its working folder.
RUN mkdir /data && chown node:node /data
WORKDIR /data
VOLUME /data
USER node
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=2s --start-period=5s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9900/healthz').then((a) => process.exit(a.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve", "--config", "/etc/turnout/turnout.yaml"]
