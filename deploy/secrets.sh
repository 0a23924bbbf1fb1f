#!/bin/sh
# Make the passwords that deploy/compose.yaml reads from files, each once; what is there stays.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
for name in superuser owner console; do
    [ -s "secrets/$name" ] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' >"secrets/$name"
    chmod 644 "secrets/$name" # containers read it as users of their own; the directory keeps others out
done
chmod 700 secrets
echo "secrets: deploy/secrets has a password for each user of the database" >&2
