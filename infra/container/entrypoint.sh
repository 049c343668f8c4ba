#!/bin/sh
# Starts varve in a container: secrets come as environment variables and become files that varve alone can read.
set -eu
umask 077
program=${VARVE_PROGRAM:-/opt/varve/dist/cli/main.js}

# $1: name of the variable, $2: the file
keep_secret() {
  eval "value=\${$1:-}"
  if [ -n "$value" ]; then
    printf '%s\n' "$value" > "$2"
    unset "$1"
  fi
}

if [ -n "${VARVE_TOKEN_FILE:-}" ]; then keep_secret VARVE_TOKENS "$VARVE_TOKEN_FILE"; fi
if [ -n "${VARVE_CLUSTER_SECRET_FILE:-}" ]; then keep_secret VARVE_CLUSTER_SECRET "$VARVE_CLUSTER_SECRET_FILE"; fi

if [ "${1:-}" = ingest ]; then
  # Other processes reach this node by its address in the network of the task.
  address=$(hostname -i)
  export VARVE_ADVERTISE="${VARVE_ADVERTISE:-http://${address%% *}:${VARVE_PEER_PORT:-8087}}"
fi

exec node "$program" "$@"
