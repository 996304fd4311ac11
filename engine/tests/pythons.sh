#!/bin/sh
# Runs the tests of unit/ and api/ with other Pythons, as root: `engine/tests/pythons.sh 3.13 3.14`. They are those of
# Debian's unstable suite, put in a folder; make installs the pinned packages into .venv-3.13 and so on.
set -eu
cd "$(dirname "$0")/../.."
tree=/opt/debian-unstable
if [ ! -d "$tree" ]; then
  rm -rf "$tree.new"
  debootstrap --variant=minbase --include=ca-certificates,curl,git,make,python3.13-venv,python3.14-venv,redis-server \
    sid "$tree.new" >/dev/null
  mv "$tree.new" "$tree"
fi
for file in /etc/resolv.conf /etc/pip.conf "$HOME/.config/pip/pip.conf"; do # how this machine reaches the packages
  [ ! -f "$file" ] || cp --dereference --parents --target-directory "$tree" "$file"
done
exec unshare --mount sh -euc '
  tree=$0
  mount --bind "$PWD" "$tree/mnt"
  mount --bind /etc/ssl/certs "$tree/etc/ssl/certs"
  mount --rbind /dev "$tree/dev"
  mount -t proc proc "$tree/proc"
  exec chroot "$tree" env PATH=/usr/sbin:/usr/bin LANG=C.UTF-8 sh -euc "
    cd /mnt
    git config --global --replace-all safe.directory /mnt
    for version; do
      make --no-print-directory VENV=.venv-\$version PYTHON=python\$version test-unit test-api
    done
  " sh "$@"
' "$tree" "$@"
