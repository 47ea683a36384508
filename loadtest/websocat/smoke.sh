#!/usr/bin/env bash
# Every one of URLS welcomes a socket and answers a ping; with PRODUCE an event comes, too.
# shellcheck source=loadtest/websocat/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs JWT_SECRET_KEY

user=$(new_user)
token=$(token "$(claims "$user")")
welcomed=()
for number in "${!URLS[@]}"; do
    url=${URLS[number]} file=$folder/$number
    listen "$file" "$(with "token=$token" "$url")"
    hello "$file" "$url" || continue
    welcomed+=("$number")
    say '{"type":"ping"}' "$file"
    if wait_for 1 '"type":"pong"' "$file"; then ok "$url: welcome and pong"; else fail "$url: no pong"; fi
done

if [ -n "${PRODUCE:-}" ] && [ ${#welcomed[@]} -gt 0 ]; then
    produce "$user" 1 1
    for number in "${welcomed[@]}"; do expect 1 1 "$folder/$number" "${URLS[number]}"; done
fi
verdict
