#!/bin/bash

# npm.sh FROM TO
#
# Installs what FROM/package-lock.json pins into TO/node_modules, unless it
# is there already.

. "$(dirname "$0")/lib.sh"

from=$1
to=$2

mkdir -p "$to"

if [ -d "$to/node_modules" ] \
    && cmp -s "$from/package-lock.json" "$to/.installed"
then
    exit 0
fi

cp "$from/package.json" "$from/package-lock.json" "$to/"

say "installing npm packages into $to"

(cd "$to" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
    --no-update-notifier --loglevel=error </dev/null)

cp "$from/package-lock.json" "$to/.installed"
