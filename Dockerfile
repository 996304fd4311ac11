# The API in production. A digest pins the base for good: look it up, and write python:3.14-slim-trixie@sha256:… here.
ARG BASE=python:3.14-slim-trixie

FROM ${BASE} AS sources
WORKDIR /app
COPY . ./
# The engine is the folder engine/, or the wheel in vendor/.
RUN test -d engine || { python -m zipfile -e vendor/resource_server-*.whl wheel && ln -s wheel/resource_server/engine engine; }

FROM ${BASE} AS build
ARG REQUIREMENTS=requirements.txt
WORKDIR /pins
COPY --from=sources /app/engine/image.sh /app/engine/requirements.txt /app/engine/requirements-extras.txt engine/
COPY --from=sources /app/requirements.txt ./
RUN sh engine/image.sh packages
WORKDIR /app
COPY --from=sources /app ./
RUN sh engine/image.sh sources

FROM ${BASE}
LABEL org.opencontainers.image.title="auth0-openapi-flask" \
    org.opencontainers.image.description="An OpenAPI-first Flask API, protected by Auth0 access tokens" \
    org.opencontainers.image.version="1.0.0" \
    org.opencontainers.image.licenses="MIT"
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=3010
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app/openapi.yaml ./
COPY --from=build /app/api api/
COPY --from=build /app/security security/
# A number: Kubernetes can't tell of a name that it isn't root's.
USER 65532:65532
EXPOSE 3010
# Whether the process lives, which is what a new container could mend; a proxy to the outside must not be asked.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", \
        "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
# Without a shell in between, so that SIGTERM arrives.
CMD ["python", "-m", "api", "serve", "--host", "0.0.0.0"]
