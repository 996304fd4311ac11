#!/bin/sh
curl --silent --show-error --include "${API_URL:-http://127.0.0.1:3010}/api/private-scoped" \
  --header "Authorization: Bearer $ACCESS_TOKEN"
