# Dagster's webserver and daemon: no code of the project, none of its secrets. Built from the repository's root:
#   docker build -f deploy/dagster.Dockerfile --target webserver -t dawa-dagster:0.1.0 .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG LAUNCHER=dagster-docker
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV PIP_CONSTRAINT="/build/constraints.txt /build/deploy/constraints.txt"
WORKDIR /build
RUN python -m venv /opt/venv
COPY constraints.txt ./
COPY deploy/constraints.txt deploy/
RUN /opt/venv/bin/python -m pip install dagster-webserver dagster-postgres "${LAUNCHER}"

FROM ${PYTHON_IMAGE} AS dagster
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin dagster \
    && install -d -o dagster -g dagster /opt/dagster /var/lib/dagster
COPY --from=build /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:${PATH}" PYTHONUNBUFFERED=1 DAGSTER_HOME=/opt/dagster
COPY deploy/dagster.yaml deploy/workspace.yaml /opt/dagster/
WORKDIR /opt/dagster
USER 10001:10001

FROM dagster AS daemon
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 CMD ["dagster-daemon", "liveness-check"]
CMD ["dagster-daemon", "run", "--workspace", "workspace.yaml"]

FROM dagster AS webserver
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:3000/server_info', timeout=8)"]
CMD ["dagster-webserver", "--workspace", "workspace.yaml", "--host", "0.0.0.0", "--port", "3000"]
