#!/usr/bin/env bash
# A good token is welcome however it is brought; bad ones, and none, are refused with REFUSAL, at each of URLS.
# shellcheck source=loadtest/websocat/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs JWT_SECRET_KEY
REFUSAL=${REFUSAL:-4001} # the close code of a bad token, or the HTTP status under AUTH_FAILURE=http

user=$(new_user)
good=$(token "$(claims "$user")")
names=() files=() judges=()

# attempt welcome|refuse NAME URL [OPTION...]: opens a socket that is judged later
attempt() {
    judges+=("$1")
    names+=("$2")
    files+=("$folder/${#files[@]}")
    listen "${files[-1]}" "${@:3}" -vv
}

# welcome FILE NAME: this must be welcomed
welcome() { hello "$1" "$2" && ok "$2"; }

# refuse FILE NAME: the other side must end this with REFUSAL, without a word before
refuse() {
    wait_for 1 . "$1"
    if [ -s "$1" ]; then
        fail "$2: not refused: $(cat "$1")"
    elif alive "$1"; then
        fail "$2: neither welcomed nor refused"
    elif grep -q "status_code: $REFUSAL,\|status code ($REFUSAL " "$1.errors"; then
        ok "$2"
    else
        fail "$2: refused in another way: $(grep 'status.code' "$1.errors" || tail -n 1 "$1.errors")"
    fi
}

for url in "${URLS[@]}"; do
    attempt welcome "$url: in the query" "$(with "token=$good" "$url")"
    attempt welcome "$url: as Authorization" "$url" "--header=Authorization: Bearer $good"
    attempt welcome "$url: as sub-protocol" "$url" "--protocol=tidegate.v1.json, bearer.$good"
    attempt refuse "$url: no token" "$url"
    attempt refuse "$url: no token but a word" "$(with token=nonsense "$url")"
    attempt refuse "$url: expired" "$(with "token=$(token "$(claims "$user" -60)")" "$url")"
    attempt refuse "$url: another secret" "$(with "token=$(token "$(claims "$user")" "not $JWT_SECRET_KEY")" "$url")"
    attempt refuse "$url: algorithm none" "$(with "token=$(token "$(claims "$user")" "$JWT_SECRET_KEY" none)" "$url")"
    attempt refuse "$url: claims changed" "$(with "token=${good%%.*}.$(claims "$user-2" | base64url).${good##*.}" "$url")"
done
for i in "${!files[@]}"; do
    case ${judges[i]} in
        welcome) welcome "${files[i]}" "${names[i]}" ;;
        refuse) refuse "${files[i]}" "${names[i]}" ;;
    esac
done
verdict
