#!/bin/sh
# The steps that make /opt/venv, with what the API needs to serve.
#   packages   installs what is pinned; in a folder with requirements.txt, and beside this file the engine's.
#              REQUIREMENTS=requirements-extras.txt has what the optional settings need, too.
#   sources    puts the engine there, and compiles api/ and security/; in a folder that has these.
set -eu
engine=$(dirname "$0")

packages() {
  python -m venv --without-pip /opt/venv
  python -m pip --python /opt/venv install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
    --no-deps --require-hashes --only-binary :all: \
    --requirement "$engine/${REQUIREMENTS:-requirements.txt}" --requirement requirements.txt
}

sources() {
  packages=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  sources=$engine/src/resource_server
  [ -d "$sources" ] || sources=$engine/..
  cp -R "$sources" "$packages/resource_server"
  # What only development needs stays out of it.
  for room in developing engine template testing; do rm -rf "$packages/resource_server/$room"; done
  find . "$packages/resource_server" -name __pycache__ -prune -exec rm -rf {} +
  # Nothing can be compiled later, on a file system that is read only; and a checkout may be its owner's only.
  python -m compileall -q --invalidation-mode checked-hash "$packages/resource_server" api security
  chmod -R u=rwX,go=rX . "$packages/resource_server"
}

"$1"
