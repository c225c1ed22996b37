#!/bin/bash
# Runs jobs of workerless: REDIS_URL=redis://127.0.0.1:6379 worker.sh worker:jobs [VISIBILITY_MS]
# Start as many as you like: the job of one that dies is run again by another. Needs jq, and
# redis-cli of Redis 7 or newer. With systemd: KillMode=mixed.
set -u

# Replace this. Gets the job on stdin and writes HTML; a status other than 0 says that it failed,
# and stderr why.
make()
{
    local job delay error
    job=$(cat) delay=$(jq -r '.inputs["query:delay"] // 0' <<<"$job")
    sleep "$delay"
    error=$(jq -r '.inputs["query:error"] // empty' <<<"$job")
    test -z "$error" || { echo "$error" >&2; return 1; }
    jq -r '"<p>result for \(.name | @html)</p>"' <<<"$job"
}
