# The server alone, in a small image, under a user without rights.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends cmake libssl-dev pkg-config
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package chancery

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/chancery --create-home chancery
COPY --from=build /src/target/release/chancery /usr/local/bin/chancery
USER chancery
EXPOSE 8400
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s CMD ["chancery", "health"]
ENTRYPOINT ["chancery"]
CMD ["serve"]
