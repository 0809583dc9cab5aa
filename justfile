# What a developer types and what CI runs is the same thing: .ci/run holds the commands.

# List the recipes
default:
    @just --list

# Check the formatting
fmt:
    .ci/run fmt

# Clippy, warnings are errors, with and without the embedded origin
lint:
    .ci/run lint

# Unit and integration tests
test:
    .ci/run test

# Documentation builds without warnings
doc:
    .ci/run doc

# No second HTTP or TLS stack in the tree
tree:
    .ci/run tree

# Licences, bans and sources, where cargo-deny is installed
deny:
    .ci/run deny

# edgeseal in front of SeaweedFS: BINARY, or a fresh debug build
acceptance binary='':
    {{ if binary == '' { '.ci/run acceptance' } else { 'tests/acceptance/run.py ' + quote(binary) } }}

# CloudFront's API asked by the AWS CLI and boto3: BINARY, or a fresh debug build
api binary='':
    {{ if binary == '' { '.ci/run api' } else { 'tests/cloudfront-api/run.py ' + quote(binary) } }}

# Rules, alerts and dashboard, by Debian's prometheus
prometheus:
    .ci/run prometheus

# The admin listener's page, in Debian's chromium
page:
    .ci/run page

# Compose file, Helm chart, unit and Dockerfile, by the tools that are there
deploy:
    .ci/run deploy

# All that CI runs, in its order
ci:
    .ci/run

# Pure hot functions by criterion, then the real binary over loopback TLS
bench:
    cargo bench --locked

# edgeseal beside nginx, Varnish, Traffic Server and HAProxy (25 minutes; as root; `--install` first)
compare *arguments:
    benches/compare/run.py {{ arguments }}

# Instructions of a hit against what is expected, under valgrind
instructions:
    .ci/run instructions

# A private bucket and the edge in front of it, on this machine
demo *arguments:
    cargo run --locked --release -- demo {{ arguments }}

# The container image
image tag='edgeseal:latest':
    DOCKER_BUILDKIT=1 docker build --tag {{ quote(tag) }} .
