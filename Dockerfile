# One image: the operator, and the containers `fetch`, `ship` and `gate` that it puts beside every command.
FROM docker.io/library/debian:trixie-slim AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends busybox-static ca-certificates python3 python3-pip python3-venv tini
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Neither environment has a pip of its own: what is not there cannot be run in a cluster. The first is the build backend's.
RUN python3 -m venv --without-pip /backend && python3 -m venv --without-pip /opt/datums
COPY requirements/operator.lock requirements/dev.lock requirements/
RUN awk '/^[a-z]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' requirements/dev.lock >/backend.lock \
 && python3 -m pip --python /backend/bin/python install --quiet --require-hashes --requirement /backend.lock \
 && python3 -m pip --python /opt/datums/bin/python install --quiet --no-compile --require-hashes --requirement requirements/operator.lock
COPY LICENSE README.md pyproject.toml ./
COPY operator operator
RUN python3 -m pip --python /backend/bin/python wheel --quiet --no-deps --no-build-isolation --wheel-dir /dist . \
 && python3 -m pip --python /opt/datums/bin/python install --quiet --no-compile --no-deps --no-index /dist/*.whl
# A container starts for every execution, so Python must find its bytecode and need not look whether it is fresh.
RUN /opt/datums/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/datums/lib \
 && install -D -m 0755 /bin/busybox /usr/local/lib/datums/busybox \
 && install -D -m 0755 /usr/bin/tini-static /usr/local/lib/datums/tini-static

FROM docker.io/library/debian:trixie-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
COPY --from=build /usr/local/lib/datums /usr/local/lib/datums
COPY --from=build /opt/datums /opt/datums
# USER: libraries ask for the user's name, which a user id without an entry in /etc/passwd does not have.
ENV PATH=/opt/datums/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    USER=datums
USER 65532:65532
WORKDIR /
ENTRYPOINT ["datums"]
