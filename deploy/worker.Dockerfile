# A worker, with torch. For a CPU:
#   docker build --file deploy/worker.Dockerfile --tag text2song-worker:0.1.0 .
# For NVIDIA GPUs (the CUDA that the driver of the hosts can do; nvidia's container toolkit must be there):
#   docker build --file deploy/worker.Dockerfile --build-arg TORCH_BACKEND=cu128 --tag text2song-worker:0.1.0-cu128 .
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS build
ARG UV_VERSION=0.13.9
ARG TORCH_BACKEND=cpu
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && uv venv /opt/text2song
WORKDIR /source
# Packages first: they change seldom, and this layer is the large one.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src/text2song/__init__.py src/text2song/__init__.py
RUN uv pip install --no-cache --python /opt/text2song/bin/python --constraints constraints.txt \
    --torch-backend "${TORCH_BACKEND}" ".[studio,postgres,celery,telemetry]"
COPY src src
RUN uv pip install --no-cache --python /opt/text2song/bin/python --no-deps --reinstall-package text2song .

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/text2song --create-home --shell /usr/sbin/nologin text2song
COPY --from=build /opt/text2song /opt/text2song
ENV PATH=/opt/text2song/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TEXT2SONG_HOME=/var/lib/text2song \
    TEXT2SONG_LOG_JSON=true \
    TEXT2SONG_HEALTH_FILE=/tmp/text2song-worker-is-well
# Models: `text2song model add` puts them there once, and every worker that shares the volume has them.
VOLUME ["/var/lib/text2song"]
USER 10001:10001
# The worker touches its file every few seconds while it lives and the database hears of it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=3 \
    CMD ["sh", "-c", "test -n \"$(find \"$TEXT2SONG_HEALTH_FILE\" -newermt '-60 seconds')\""]
STOPSIGNAL SIGTERM
ENTRYPOINT ["text2song"]
CMD ["worker"]
