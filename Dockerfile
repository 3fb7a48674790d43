# syntax=docker/dockerfile:1

# One static binary in an otherwise empty image. Build for another platform
# with: docker buildx build --platform linux/arm64 .

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags='-s -w' -o /image/holdfast ./cmd/holdfast
# SQLite stores large temporary tables in /tmp. TLS to Redis, PostgreSQL and mail
# servers needs the CA certificates.
RUN install -d -m 0700 -o 65532 -g 65532 /image/data && install -d -m 1777 /image/tmp \
    && install -D -m 0644 -t /image/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt

FROM scratch
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="Log in once. Restart the server. It still knows you." \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image /
# A numeric user: the image has no passwd file, and the user owns nothing but /data.
USER 65532:65532
ENV HOST=0.0.0.0 PORT=3000 DATA_DIR=/data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=4s --start-period=15s --retries=3 CMD ["/holdfast", "healthcheck"]
ENTRYPOINT ["/holdfast"]
CMD ["serve"]
