# Runs jobs of workerless: REDIS_URL=redis://localhost bash worker.sh worker:jobs [VISIBILITY]
# Start as many as you like: the job of one that dies is run again by another. Needs jq, and
# redis-cli of Redis 7 or newer. A password is better kept in REDISCLI_AUTH than in the URL.
# Under systemd, KillMode=mixed lets a job end when the service is stopped.

make() { # Replace this. It prints the HTML; or it fails, and what it has printed is the reason.
    local job
    job=$(cat)
    sleep "$(jq -r '.inputs["query:delay"] // 0' <<<"$job")"
    jq -er '.inputs["query:error"] // empty' <<<"$job" && return 1
    jq -r '"<p>result for \(.name | @html)</p>"' <<<"$job"
}

here=$(dirname "$(readlink -f "$0")") me=$HOSTNAME-$$ visibility=${2:-30000} x='' stopping=''
visitors="{$1}:visitors" refreshes="{$1}:refreshes" dead="{$1}:dead"
printf -v beat '%d.%03d' $((visibility / 3000)) $((visibility / 3 % 1000)) # seconds
case $REDIS_URL in
unix://*) redis=(redis-cli -e -s "${REDIS_URL#unix://}") ;;
*) redis=(redis-cli -e --no-auth-warning -u "${REDIS_URL/'//:'/'//default:'}") ;;
esac

script() { "${redis[@]}" ${x:+-x} EVAL "$(cat "$here/$1.lua")" 2 "${@:2}"; } # x=1: and stdin
bury() { script bury "$stream" "$dead" "$entry" "$text" "$1" $((${tries:-1} - 1)) "$me"; }

work() { # Makes the result, and stores it or the failure.
    while sleep "$beat" && kill -0 $$; do # heartbeats, until we have finished or died
        "${redis[@]}" XCLAIM "$stream" workers "$me" 0 "$entry" JUSTID
    done 2>/dev/null &
    body=$(make <<<"$text") status=$?
    kill $! && wait $! 2>/dev/null
    test $status = 0 || { script fail "$lease" "$key" "$id" "$negative" 502 "$body"; return; }
    printf %s "$body" | x=1 script complete "$lease" "$key" "$id" "$fresh" "$keep" ''
}

run() { # Runs the job, unless nobody wants it any more, and removes it from its stream.
    IFS=$'\n' read -r -d '' lease key id deadline fresh keep negative attempts < <(
        jq -r 'select(.version == 1) | (.lease, .key, .id | strings),
            (.deadline, .fresh, .keep, .negative, .attempts | numbers | floor)' <<<"$text")
    if test -z "$attempts"; then
        bury 'not a job of version 1'
    elif ((${tries:-1} > attempts)); then
        script fail "$lease" "$key" "$id" "$negative" 502 'its workers died' &&
            bury 'its workers died'
    elif wanted=$(script begin "$lease" "$key" "$id" "$deadline"); then
        { test "$wanted" = 0 || work; } && printf '%s\n' \
            MULTI "XACK $stream workers $entry" "XDEL $stream $entry" EXEC | "${redis[@]}"
    fi
}

trap 'stopping=1' TERM
exec >/dev/null
while test -z "$stopping"; do # With -e, redis-cli fails if it gets an error.
    reply=$(script take "$visitors" "$refreshes" "$me" "$visibility") && test -n "$reply" ||
        reply=$("${redis[@]}" XREADGROUP GROUP workers "$me" COUNT 1 BLOCK 1000 \
            STREAMS "$visitors" '>') || sleep 1
    test -n "$reply" || continue
    { read -r stream; read -r entry; read -r tries; text=$(cat); } <<<"$reply"
    tries=${tries//[!0-9]/} && run # XREADGROUP says "job" there
done
