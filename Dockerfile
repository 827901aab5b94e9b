# syntax=docker/dockerfile:1
# The gateway's image. `deploy/check-image.ts` carries out these very lines without an engine; run it after a change.

FROM node:26.10.0-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY deploy/copy-assets.ts ./deploy/
COPY config ./config
COPY sample ./sample
COPY src ./src
RUN npm run build

FROM node:26.10.0-slim AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:26.10.0-slim
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="A multi-tenant query gateway: cache, single flight, fair queues and limits." \
      org.opencontainers.image.licenses="Apache-2.0"

# The one place that the gateway writes to (`store.dir: ./data` is relative to it). Everything else may be read-only.
RUN install -d -o node -g node -m 0750 /var/lib/sluice
VOLUME /var/lib/sluice
WORKDIR /var/lib/sluice

COPY --from=packages /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist

ENV NODE_ENV=production \
    SLUICE_CONFIG=/etc/sluice/sluice.yaml \
    SLUICE_HEALTH_URL=http://127.0.0.1:8080/_sluice/health/live

# A number, so that Kubernetes' runAsNonRoot can tell; it is the `node` user of the base image.
USER 1000:1000
EXPOSE 8080 9090

HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.SLUICE_HEALTH_URL).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]

# Exec form: node is process 1 and gets SIGTERM itself. Longer than `server.drainTimeout` must be the engine's grace period.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/dist/src/main.js"]
CMD ["serve"]
