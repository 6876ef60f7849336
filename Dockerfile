# The API and the workers, without the embedded stack. One image, several commands: `customhouse api`, `worker`, `migrate`.

FROM python:3.11.13-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN pip install --no-cache-dir "uv==0.13.9"
RUN python -m venv /opt/customhouse
WORKDIR /src
COPY pyproject.toml requirements.lock README.md ./
# The lock holds more than a server needs, so it serves as constraints: same versions, same hashes, fewer packages.
# This layer is built anew only when the lock changes.
RUN uv pip install --python /opt/customhouse/bin/python --constraints requirements.lock --verify-hashes \
    --extra server --requirements pyproject.toml
COPY customhouse customhouse
COPY activities activities
COPY workflows workflows
COPY api api
COPY workers workers
COPY migrations migrations
RUN uv pip install --python /opt/customhouse/bin/python --no-deps --build-constraints requirements.lock .

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin customhouse
COPY --from=build /opt/customhouse /opt/customhouse
ENV PATH=/opt/customhouse/bin:$PATH PYTHONUNBUFFERED=1 CUSTOMHOUSE_HOST=0.0.0.0
USER customhouse
WORKDIR /home/customhouse
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["customhouse"]
CMD ["api"]
