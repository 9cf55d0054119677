#!/usr/bin/env bash
# Posts the notes of a release, and does not end before somebody else holds a copy.
#
#   TAG=v1.2.0 HUB=TICKET docs/release-notes.sh CHANGELOG.md
#
# It may be run again after any failure: nothing is posted twice. HUB is the ticket of a node
# that keeps this account (`mosaic sub add ACCOUNT` there); the id is printed at the end. With
# BACKUP=FILE the home, keys and all, is kept there afterwards, whether a node runs or not:
# MOSAIC_HOME=NEW mosaic store restore FILE makes it anew.
set -euo pipefail

mosaic init --name ci --if-missing --no-input >/dev/null 2>&1
mosaic sync --peer "$HUB" --timeout 2m >/dev/null || [ $? -eq 3 ]   # some peers away is fine

id=$(mosaic post -F "$1" --idempotency-key "release-$TAG" --wait-replicas 1 --timeout 60s)

# What the release looks like to those who read it; strings come without quotes.
mosaic wall show "$id" --jq 'select(.type == "post") | "posted at \(.created_at), \(.replies) replies"' >&2

# Everybody else, as far as they can be reached.
mosaic sync --replicas 1 --timeout 2m >/dev/null || [ $? -eq 3 ]

# A file that exists is never overwritten, so the new one takes the place of the old one when whole.
if [ -n "${BACKUP:-}" ]; then
  rm -f "$BACKUP.new"
  mosaic store backup "$BACKUP.new" --include-keys >/dev/null 2>&1
  mv "$BACKUP.new" "$BACKUP"
fi

echo "$id"
