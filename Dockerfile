# syntax=docker/dockerfile:1

# The toolchain of Cargo.toml's rust-version, on the Debian release whose C library the final image has.
FROM rust:1.95-slim-bookworm AS build
# The slim image has gcc, which aws-lc-sys needs to compile its C and assembly; nothing else does.
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY benches benches
COPY tests tests
# Without default features the embedded demo origin is not in the binary. `dist` is the profile with fat LTO.
# The target directory is a cache mount, so the binary is copied out of it in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --no-default-features --features compress,geo --bin edgeseal \
    && cp target/dist/edgeseal /edgeseal

# glibc, libgcc, CA certificates and an unprivileged user; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="edgeseal" \
      org.opencontainers.image.description="A self-hosted CDN tier in front of private, KMS-encrypted S3 buckets" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /edgeseal /usr/local/bin/edgeseal
COPY LICENSE /usr/share/doc/edgeseal/LICENSE
# The image's `nonroot`, as a number: Kubernetes' runAsNonRoot cannot look a name up.
USER 65532:65532
# Nothing is written to disk: run it with a read-only root file system.
EXPOSE 8080/tcp 8443/tcp 8443/udp
# Drains and exits 0; allow it the 30 s that requests in flight may take (docker stop --time 40).
STOPSIGNAL SIGTERM
# No HEALTHCHECK: what runs it knows better how often to ask. As an exec probe: edgeseal healthcheck [--ready].
ENTRYPOINT ["/usr/local/bin/edgeseal"]
CMD ["--help"]
