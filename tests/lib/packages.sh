# shellcheck shell=bash
# What Debian packages each command needs and why, and their installation. Sourced by ./tidegate.

# purpose | package | a program that also satisfies it, or - | why
package_table() {
    cat <<'TABLE'
build | build-essential          | -        | compiler, linker and C headers
build | cmake                    | -        | build description
build | ninja-build              | -        | runs the build
build | pkg-config               | -        | finds the libraries below
build | libh2o-evloop-dev        | -        | HTTP/1.1 and the event loop
build | libh2o-dev-common        | -        | its headers
build | librdkafka-dev           | -        | Kafka client
build | libhiredis-dev           | -        | Redis protocol
build | libmsgpack-dev           | -        | MessagePack
build | libcjose-dev             | -        | JSON Web Tokens
build | libjansson-dev           | -        | JSON where nothing is hot
build | libssl-dev               | -        | OpenSSL
build | zlib1g-dev               | -        | compression, which h2o links
build | libcmocka-dev            | -        | unit tests
demo  | python3                  | -        | runs the demo's processes
demo  | python3-websockets       | -        | a WebSocket client for the command line
demo  | redis-server             | -        | the store between routers and gateways
demo  | haproxy                  | -        | the balancer in front of the gateways
demo  | kcat                     | -        | Kafka client for the command line
demo  | curl                     | -        | HTTP client for the command line
test  | python3-venv             | -        | the tests' own Python packages
test  | python3-yaml             | -        | reads the chart and what it renders
test  | python3-prometheus-client | -       | reads OpenMetrics as strictly as it is written down
test  | clang                    | -        | second compiler, fuzzing
test  | libclang-rt-14-dev       | -        | sanitizer and fuzzer runtimes of clang
test  | clang-format             | -        | lint: how code looks
test  | clang-tidy               | -        | lint: what compilers do not see
test  | shellcheck               | -        | lint: shell scripts
test  | openjdk-17-jre-headless  | java     | runs a real Apache Kafka broker
test  | maven                    | mvn      | fetches that broker
test  | nodejs                   | node     | runs WebSocket clients of others
test  | npm                      | npm      | fetches them
test  | cargo                    | cargo    | builds websocat
test  | openssl                  | openssl  | signs tokens in shell scripts
test  | chromium                 | -        | shows the page in a real browser
test  | docker.io                | -        | builds the images and runs them
test  | debootstrap              | -        | makes the base that they are built on
test  | docker-compose           | -        | runs the compose example
TABLE
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# missing_packages PURPOSE...: the rows that are not satisfied, as "package|why"
missing_packages() {
    local purpose package program why
    while IFS='|' read -r purpose package program why; do
        purpose=${purpose// /} package=${package// /} program=${program// /}
        [[ " $* " == *" $purpose "* ]] || continue
        [ "$program" != - ] && command -v "$program" >/dev/null && continue
        is_installed "$package" || printf '%s|%s\n' "$package" "${why# }"
    done < <(package_table)
}

# install_packages PURPOSE...: installs what is missing, says what and why; dies with a sentence when it cannot.
install_packages() {
    command -v apt-get >/dev/null \
        || die "this script installs Debian packages, and this machine has no apt-get. Use Debian 12 (bookworm)."
    local rows root=()
    mapfile -t rows < <(missing_packages "$@")
    [ ${#rows[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null \
            || die "packages are missing (${rows[*]%%|*}), but this is not root and there is no sudo. Install them as root."
        root=(sudo)
    fi
    say "installing ${#rows[@]} Debian packages:"
    printf '  %s\n' "${rows[@]/|/: }"
    "${root[@]}" apt-get -o DPkg::Lock::Timeout=300 -qq update || die "apt-get update failed: is the network up?"
    without_services "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends "${rows[@]%%|*}" >/dev/null \
        || die "apt-get could not install ${rows[*]%%|*}: its message stands above."
}

# Runs an installation during which Debian starts no service: the demo and the tests start servers of their own.
without_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
    "$@" || status=$?
    "${root[@]}" rm -f "$policy"
    return "$status"
}
