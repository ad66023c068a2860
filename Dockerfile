# One image for the service, the Dask scheduler and the workers: they must write the same bytes, so they are the same code.
# `make wheel-check` runs the first stage's RUN lines outside Docker, with PREFIX in the build folder.
FROM python:3.11-slim-bookworm AS build
ENV PYTHON=python3 PREFIX=/opt/skimflow PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY queries queries
COPY artifacts artifacts
COPY delivery delivery
COPY processing processing
COPY inference inference
COPY skimflow skimflow
RUN $PYTHON -m venv $PREFIX
RUN $PREFIX/bin/python -m pip --quiet wheel --no-deps --wheel-dir $PREFIX/wheels .
RUN $PREFIX/bin/python -m pip --quiet install --constraint constraints.txt $PREFIX/wheels/*.whl
RUN rm -r $PREFIX/wheels

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="skimflow" org.opencontainers.image.licenses="BSD-3-Clause"
COPY --from=build /opt/skimflow /opt/skimflow
ENV PATH=/opt/skimflow/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp
RUN install --directory --owner 10001 --group 10001 /data
# A number, so that Kubernetes can tell that it is not root; the folder of data is the only one it may write to.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=2)"]
CMD ["skimflow", "serve", "--host", "0.0.0.0", "--data", "/data"]
