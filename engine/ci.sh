#!/usr/bin/env bash
# What a full run of the tests needs: Debian's packages, and Node's programs. Called in the house's folder.
set -euo pipefail
engine=$(cd "$(dirname "$0")" && pwd)

# Taken as given, and named when missing.
for tool in make node npm curl; do
  command -v "$tool" >/dev/null || { echo "CI needs $tool" >&2; exit 1; }
done
sources=$engine/src/resource_server
[ -d "$sources" ] || sources=$engine/..
folders=("$sources/testing/linters")
if [ -d "$engine/tests" ]; then
  folders+=("$engine/tests/clients" "$engine/tests/contracts" "$engine/tests/peers")
  packages="chromium nginx-light postgresql redis-server wrk $(sed -n 's/^  packages: //p' "$engine/tests/clients.yaml")"
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  if ! dpkg --status $packages >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null
  fi
  # Debian has Swift from 13 on; tests/clients/swift.sh enters that one. It loads 600 MB and takes 3 GB.
  if ! command -v swift >/dev/null && [ ! -d /opt/debian13 ]; then
    $as_root rm -rf /opt/debian13.new
    $as_root debootstrap --variant=minbase --include=binutils,libc6-dev,libstdc++-14-dev,swiftlang \
      trixie /opt/debian13.new >/dev/null
    $as_root mv /opt/debian13.new /opt/debian13
  fi
fi
for folder in "${folders[@]}"; do
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
done
