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

# A write-ahead log on a shared file system has one writer. While a deployment replaces the task the old one may still
# be finishing its requests; the new one waits for its lock, which the file system lets go of when the process ends.
# Whoever has it may clear away the note of a process that was killed: on another machine nobody can tell whether it lives.
if [ -n "${VARVE_TASK_LOCK:-}" ]; then
  exec flock --no-fork --timeout "${VARVE_TASK_LOCK_SECONDS:-240}" "$VARVE_TASK_LOCK" \
    sh -c 'rm -f "$VARVE_DATA_DIR/varve.lock" && exec node "$0" "$@"' "$program" "$@"
fi
exec node "$program" "$@"
