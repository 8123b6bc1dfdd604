# The API, without torch: it answers, and leaves the music to workers elsewhere.
#   docker build --file deploy/api.Dockerfile --tag text2song-api:0.1.0 .
ARG PYTHON=python:3.11.13-slim-bookworm

FROM ${PYTHON} AS build
ARG UV_VERSION=0.13.9
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && uv venv /opt/text2song
WORKDIR /source
# Packages first: they change seldom, and this layer is the large one.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src/text2song/__init__.py src/text2song/__init__.py
RUN uv pip install --no-cache --python /opt/text2song/bin/python --constraints constraints.txt \
    ".[server,postgres,celery,oidc,telemetry]"
COPY src src
RUN uv pip install --no-cache --python /opt/text2song/bin/python --no-deps --reinstall-package text2song .

FROM ${PYTHON}
RUN useradd --system --uid 10001 --home-dir /var/lib/text2song --create-home --shell /usr/sbin/nologin text2song
COPY --from=build /opt/text2song /opt/text2song
ENV PATH=/opt/text2song/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TEXT2SONG_HOME=/var/lib/text2song \
    TEXT2SONG_LOG_JSON=true
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["text2song"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
