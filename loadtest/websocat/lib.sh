# shellcheck shell=bash
# What the four scripts share: options from the environment, tokens, sockets that write to files, and the verdict.
#
# URLS            gateways or balancers, separated by commas (ws://127.0.0.1:8080/ws)
# JWT_SECRET_KEY  the gateways' own; openssl sees it on its command line
# PRODUCE         a command that produces the lines of its input to Kafka, all with one key
# WEBSOCAT        the program (websocat)
# PATIENCE        seconds to wait for what should come, from the last thing done (20)
set -uo pipefail

IFS=, read -ra URLS <<<"${URLS:-ws://127.0.0.1:8080/ws}"
WEBSOCAT=${WEBSOCAT:-websocat}
PATIENCE=${PATIENCE:-20}
folder=$(mktemp -d)
sockets=()
problems=0
deadline=0 # of all waiting, in SECONDS of the shell

end() {
    [ ${#sockets[@]} -eq 0 ] || kill "${sockets[@]}" 2>/dev/null
    wait
    rm -rf "$folder"
}
trap end EXIT

# needs NAME...: options without a default
needs() {
    local name
    for name in "$@"; do
        [ -n "${!name:-}" ] || { echo "$0: set $name (see the head of ${BASH_SOURCE[0]})" >&2; exit 2; }
    done
}

ok() { echo "ok    $*"; }
fail() { echo "FAIL  $*"; problems=$((problems + 1)); }

# verdict: the exit status of the script
verdict() { [ "$problems" = 0 ]; exit; }

# ---- tokens ----

base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }

sign() { printf %s "$1" | openssl dgst -sha256 -hmac "$2" -binary | base64url; }

# token CLAIMS [SECRET] [ALGORITHM]: signed by HMAC with SHA-256, whatever ALGORITHM says
token() {
    local text
    text=$(printf '{"alg":"%s","typ":"JWT"}' "${3:-HS256}" | base64url).$(printf %s "$1" | base64url)
    printf '%s.%s' "$text" "$(sign "$text" "${2:-$JWT_SECRET_KEY}")"
}

# claims USER [SECONDS]: of a token that is good for so long
claims() { printf '{"sub":"%s","iat":%d,"exp":%d}' "$1" "$(date +%s)" $(($(date +%s) + ${2:-3600})); }

# new_user: an id that no other run has
new_user() { printf 'websocat-%s-%s' "$(date +%s)" "$RANDOM"; }

# ---- sockets ----

# with QUERY URL: the URL, with another parameter
with() {
    case $2 in *\?*) echo "$2&$1" ;; *) echo "$2?$1" ;; esac
}

# listen FILE URL [OPTION...]: a socket in the background whose messages become lines of FILE. It ends with the other side
listen() {
    local file=$1 url=$2
    shift 2
    mkfifo "$file.in"
    # opened for writing too, so that its input never ends
    "$WEBSOCAT" -t -E "$@" "$url" <>"$file.in" >"$file" 2>"$file.errors" &
    sockets+=($!)
    echo $! >"$file.pid"
    patience
}

# say TEXT FILE: a message on the socket of FILE
say() { echo "$1" >"$2.in" && patience; }

# patience: from now on what should come has PATIENCE seconds
patience() { deadline=$((SECONDS + PATIENCE)); }

# alive FILE: whether its socket is still there
alive() { kill -0 "$(<"$1.pid")" 2>/dev/null; }

# wait_for COUNT PATTERN FILE: whether that many lines come; not waited for on a socket that ended
wait_for() {
    local over=
    until [ "$(grep -cs -- "$2" "$3")" -ge "$1" ]; do
        [ -z "$over" ] || return 1
        if [ "$SECONDS" -ge "$deadline" ] || ! alive "$3"; then over=1; else sleep 0.05; fi
    done
}

# hello FILE NAME: waits for the welcome
hello() {
    wait_for 1 '"type":"connected"' "$1" && return
    fail "$2: no welcome: $(cat "$1") $(grep -v '^\[' "$1.errors" | head -n 1)"
    return 1
}

# ---- events ----

# events USER FIRST LAST: numbered events, a line each
events() {
    local number
    for number in $(seq "$2" "$3"); do
        printf '{"schema_version":"1.0","event_type":"task.sync","user_id":"%s","operation":"create","task_id":%d,' "$1" "$number"
        printf '"task_snapshot":{"id":%d,"title":"websocat"}}\n' "$number"
    done
}

produce() {
    patience
    events "$@" | bash -c "$PRODUCE" >"$folder/produce" 2>&1 && return
    fail "PRODUCE ended with status $?: $(tail -n 1 "$folder/produce")"
}

# numbers FILE: of the events that came, in order, in one line
numbers() { grep -o '"type":"task_update".*' "$1" | sed 's/.*"task_id":\([0-9]*\).*/\1/' | tr '\n' ' '; }

# expect FIRST LAST FILE NAME: waits until the last number is there; then exactly FIRST to LAST must have come, in order
expect() {
    local wanted came
    wanted=$(seq -s ' ' "$1" "$2")
    wait_for 1 "\"task_id\":$2,\"" "$3"
    came=$(numbers "$3")
    if [ "${came% }" = "$wanted" ]; then
        ok "$4: events $1 to $2, in order"
    else
        fail "$4: wanted the events $wanted, got: ${came:-none}"
    fi
}
