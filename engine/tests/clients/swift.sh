#!/bin/sh
# Runs a command that needs Swift in the current folder: here if there is one, else in the Debian 13 that .ci/run has
# put in a folder, since Debian 12 has none.
command -v swift >/dev/null && exec sh -euc "$1"
exec unshare --mount sh -euc '
  mount --bind "$PWD" "$0/mnt"
  mount -t proc proc "$0/proc"
  exec chroot "$0" env PATH=/usr/libexec/swift/bin:/usr/bin:/bin HOME=/tmp sh -euc "cd /mnt; $1"
' /opt/debian13 "$1"
