# syntax=docker/dockerfile:1
# One image for every process: docker run IMAGE serve | ingest | compactor | query …

FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`: the lock file may lack the optional packages of platforms other than the one it was made on. Native
# packages bring prebuilt binaries, so no script has to run.
RUN npm install --no-save --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --no-save --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:22-bookworm-slim
ENV NODE_ENV=production
# Folders that may be written, owned by the user of the process: volumes that are mounted over them begin like them.
RUN install -d -o node -g node -m 0700 /var/lib/varve /run/varve
COPY --from=build --chown=root:root /build/package.json /opt/varve/package.json
COPY --from=build --chown=root:root /build/node_modules /opt/varve/node_modules
COPY --from=build --chown=root:root /build/dist /opt/varve/dist
COPY --chown=root:root --chmod=0755 infra/container/entrypoint.sh /opt/varve/entrypoint.sh
# The root is never written to: run it with --read-only --tmpfs /tmp.
VOLUME ["/var/lib/varve", "/run/varve"]
USER node
WORKDIR /var/lib/varve
ENV VARVE_DATA_DIR=/var/lib/varve \
    VARVE_CACHE_DIR=/var/lib/varve/cache \
    VARVE_HOST=0.0.0.0 \
    VARVE_LOG_FORMAT=json
EXPOSE 8086 8087 8088 8089
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/varve/entrypoint.sh"]
CMD ["serve"]
