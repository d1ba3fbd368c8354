# The project: its code server, its runs, `dawa migrate`, `dawa serve`. Built from the repository's root:
#   docker build -f deploy/user-code.Dockerfile -t dawa-user-code:0.1.0 .
# Nothing secret is needed to build it, and none is in it.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# `hosted` talks to hosted services; `hosted,train` adds torch, for training on this machine (docker-compose.gpu.yaml).
ARG EXTRAS=hosted
# What starts runs: `dagster-docker` with compose, `dagster-k8s` with Helm.
ARG LAUNCHER=dagster-docker
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV PIP_CONSTRAINT="/build/constraints.txt /build/deploy/constraints.txt"
WORKDIR /build
RUN python -m venv /opt/venv
COPY pyproject.toml constraints.txt ./
COPY deploy/constraints.txt deploy/requirements.py deploy/
RUN python deploy/requirements.py pyproject.toml "${EXTRAS}" > requirements.txt \
    && /opt/venv/bin/python -m pip install -r requirements.txt "${LAUNCHER}"
COPY README.md ./
COPY dawa_assets dawa_assets
COPY resources resources
COPY modal_app modal_app
COPY sql sql
RUN /opt/venv/bin/python -m pip install --no-deps .

FROM ${PYTHON_IMAGE} AS user-code
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin dawa \
    && install -d -o dawa -g dawa /opt/dawa /var/lib/dawa /var/lib/dagster /data
COPY --from=build /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:${PATH}" PYTHONUNBUFFERED=1 DAWA_HOME=/var/lib/dawa DAWA_DATA=/data HF_HOME=/data/huggingface
# A container whose settings did not reach it must say so, not begin an empty database of its own.
ENV DAWA_DATABASE=supabase DAWA_BUCKET=supabase
WORKDIR /opt/dawa
USER 10001:10001
EXPOSE 4000 8000
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 \
    CMD ["dagster", "api", "grpc-health-check", "--port", "4000"]
CMD ["dagster", "api", "grpc", "--module-name", "dawa_assets.definitions", "--host", "0.0.0.0", "--port", "4000"]
