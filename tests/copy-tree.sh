#!/bin/bash
# tests/copy-tree.sh DIR: copies the source tree into the new directory DIR. It takes the files that
# git tracks or would track; without git, everything but what builds leave behind.
set -eu -o pipefail
to=$(mkdir "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/.."

list=$(mktemp "${TMPDIR:-/tmp}/workerless-files.XXXXXX")
trap 'rm -f "$list"' EXIT
# As root, git doubts a tree of another user, and nothing that its config names is to be run here.
if test -e .git && git -c safe.directory="$PWD" -c core.fsmonitor=false \
    ls-files -z --cached --others --exclude-standard >"$list"; then
    while IFS= read -r -d '' file; do
        test ! -e "$file" || printf '%s\0' "$file" # tracked, but deleted here
    done <"$list" | tar -c --null -T - | tar -x -C "$to"
else
    tar -c --exclude=./.git --exclude='./build*' --exclude=./Makefile --exclude=./config.status \
        --exclude='*.o' --exclude='*.a' --exclude=.deps --exclude=node_modules . | tar -x -C "$to"
fi
