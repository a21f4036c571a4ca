#!/bin/sh
# Runs nginx in the foreground on $PORT. The release is read-only, so the configuration and all
# that nginx writes live in a directory of this process, which goes when nginx has ended.
set -eu

site=$(pwd)
own=$(mktemp -d "${TMPDIR:-/tmp}/static-site.XXXXXX")
# Debian has it where not every path looks.
PATH="$PATH:/usr/sbin"

# Started by root, nginx would serve as another user, who may not read the release.
user="# not root"
[ "$(id -u)" -ne 0 ] || user="user root root;"

sed -e "s|@USER@|$user|" -e "s|@PORT@|$PORT|" -e "s|@SITE@|$site|" -e "s|@OWN@|$own|" nginx.conf.in >"$own/nginx.conf"
nginx -p "$own" -c "$own/nginx.conf" -e stderr &
server=$!

# SIGTERM to this script lets nginx finish what it has begun.
trap 'kill -QUIT "$server" 2>/dev/null || true' TERM INT
status=0
wait "$server" || status=$?
# A signal ends the wait, not nginx.
while kill -0 "$server" 2>/dev/null; do
    status=0
    wait "$server" || status=$?
done
rm -rf "$own"
exit "$status"
