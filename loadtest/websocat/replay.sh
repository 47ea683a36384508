#!/usr/bin/env bash
# A client that was away gets what it missed, once and in order, from whichever of URLS it comes to; then it is live.
# shellcheck source=loadtest/websocat/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs JWT_SECRET_KEY PRODUCE
EVENTS=${EVENTS:-20} # that it misses

user=$(new_user)
token=$(token "$(claims "$user")")
first=$folder/first

listen "$first" "$(with "token=$token" "${URLS[0]}")"
hello "$first" "${URLS[0]}" || verdict
produce "$user" 1 1
expect 1 1 "$first" "before it leaves"
position=$(grep '"type":"task_update"' "$first" | tail -n 1 | sed -n 's/.*"id":"\([0-9]*-[0-9]*\)".*/\1/p')
kill "${sockets[-1]}"

produce "$user" 2 $((EVENTS + 1))
for number in "${!URLS[@]}"; do
    listen "$folder/$number" "$(with "token=$token&last_id=${position:-0}" "${URLS[number]}")"
done
for number in "${!URLS[@]}"; do expect 2 $((EVENTS + 1)) "$folder/$number" "${URLS[number]}: away after $position"; done
for number in "${!URLS[@]}"; do
    if grep -qs '"recovered":true' "$folder/$number"; then continue; fi
    fail "${URLS[number]}: it does not say that nothing is missing: $(head -n 1 "$folder/$number")"
done

produce "$user" $((EVENTS + 2)) $((EVENTS + 2))
for number in "${!URLS[@]}"; do expect 2 $((EVENTS + 2)) "$folder/$number" "${URLS[number]}: and live"; done
verdict
