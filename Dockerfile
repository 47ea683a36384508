# Tidegate's two programs, an image each: `docker build .` makes the gateway, `docker build --target router .` the
# router. BASE is any Debian 12; an image is that, the libraries that its program is linked with, and the program.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    build-essential ca-certificates cmake libcjose-dev libh2o-dev-common libh2o-evloop-dev libhiredis-dev \
    libjansson-dev libmsgpack-dev librdkafka-dev libssl-dev ninja-build pkg-config zlib1g-dev
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json LICENSE README.md ./
COPY common common
COPY gateway gateway
COPY router router
RUN cmake --preset release -DTIDEGATE_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
 && cmake --build --preset release \
 && DESTDIR=/out cmake --install build/release --strip

# What both stand on: the libraries of common/, and the authorities that sign certificates of Redis and Kafka, where
# OpenSSL looks for them and where people do.
FROM ${BASE} AS runtime
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    libh2o-evloop0.13 libhiredis0.14 libjansson4 libmsgpackc2 libssl3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /usr/share/doc/* \
 && mkdir -p /etc/ssl/certs /usr/lib/ssl \
 && ln -s /etc/ssl/certs/ca-certificates.crt /usr/lib/ssl/cert.pem
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
LABEL org.opencontainers.image.licenses=MIT org.opencontainers.image.vendor=Tidegate

FROM runtime AS router
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends librdkafka1 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /usr/share/doc/*
COPY --from=build /out/usr/bin/tidegate-router /usr/bin/
LABEL org.opencontainers.image.title=tidegate-router \
      org.opencontainers.image.description="Moves events from Kafka to Redis, where Tidegate's gateways find them."
USER 65532:65532
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/tidegate-router", "--probe", "/health"]
ENTRYPOINT ["/usr/bin/tidegate-router"]

FROM runtime AS gateway
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libcjose0 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* /usr/share/doc/*
COPY --from=build /out/usr/bin/tidegate-gateway /usr/bin/
LABEL org.opencontainers.image.title=tidegate-gateway \
      org.opencontainers.image.description="Holds WebSockets and delivers what Tidegate's routers put into Redis."
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/tidegate-gateway", "--probe", "/health"]
ENTRYPOINT ["/usr/bin/tidegate-gateway"]
