#!/usr/bin/env bash
# SOCKETS sockets of one user on each of URLS: every event reaches all of them, once and in order.
# shellcheck source=loadtest/websocat/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs JWT_SECRET_KEY PRODUCE
SOCKETS=${SOCKETS:-5}
EVENTS=${EVENTS:-50}

user=$(new_user)
token=$(token "$(claims "$user")")
names=() files=()
for number in $(seq "$SOCKETS"); do
    for url in "${URLS[@]}"; do
        names+=("$url: socket $number")
        files+=("$folder/${#files[@]}")
        listen "${files[-1]}" "$(with "token=$token" "$url")"
    done
done
for i in "${!files[@]}"; do hello "${files[i]}" "${names[i]}"; done
[ "$problems" = 0 ] || verdict

produce "$user" 1 "$EVENTS"
for i in "${!files[@]}"; do expect 1 "$EVENTS" "${files[i]}" "${names[i]}"; done
verdict
