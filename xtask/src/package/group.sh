#!/bin/sh
# Runs boot.sh in a control group of its own, as systemd must rule one; in a mount namespace that
# `unshare` has made.
# $1: an empty directory for the groups; $2: boot.sh; and what that takes.
set -eu
groups=$1
shift
mount -t cgroup2 cgroup2 "$groups"
group=$groups/sealway-$$
mkdir "$group"
code=0
# Whoever is in a group when the namespace is made sees it as the root of all.
sh -c 'echo $$ >"$0/cgroup.procs" &&
    exec unshare --mount --pid --fork --kill-child --net --ipc --uts --cgroup sh "$@"' \
    "$group" "$@" || code=$?
# Those that were in it may take a moment to be gone.
for _ in $(seq 100); do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ -e "$group" ] || break
    sleep 0.1
done
exit $code
