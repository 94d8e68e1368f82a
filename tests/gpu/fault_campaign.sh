#!/bin/bash
# The fault suite inside a campaign on a real GPU: the kernels of tests/gpu/faults are the seeds of the
# small task. Each must get its verdict, the campaign must go on to its end, its record must be whole
# and derive again. Exits 0 if all of it is so.
# usage: tests/gpu/fault_campaign.sh KDASEARCH [DEVICE]      (default device: cuda:0)
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "${1:?usage: tests/gpu/fault_campaign.sh KDASEARCH [DEVICE]}")
device=${2:-cuda:0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0 seen=0

fail() {
    echo "$1" >&2
    bad=$((bad + 1))
}

# The verdict of a decision, from the record.
verdict_of() { # ARCHIVE DECISION
    "$binary" show "$1" "#$2" --json | sed -n 's|^ *"verdict": *"\([a-z_]*\)".*|\1|p' | head -1
}

run_batch() { # FAULTS...: at most 15
    local n=0 name expect verdict archive=$work/archive
    rm -rf "$work/task" "$archive"
    cp -r "$here/tasks/scale" "$work/task"
    rm -rf "$work/task/seeds"
    mkdir "$work/task/seeds"
    for name in "$@"; do
        cp "$here/gpu/faults/$name.cu" "$work/task/seeds/$(printf %02d $n)_$name.cu"
        n=$((n + 1))
    done
    "$binary" run "$work/task" -o "$archive" --device "$device" --max-evals $((n + 6)) >"$work/out" 2>&1 ||
        fail "the campaign ended with status $?: $(tail -3 "$work/out")"
    n=1
    for name in "$@"; do
        expect=$(sed -n '1s|^// expect: *||p' "$here/gpu/faults/$name.cu")
        verdict=$(verdict_of "$archive" $n)
        seen=$((seen + 1))
        case "|${expect%%:*}|" in
        *"|$verdict|"*) printf 'right  %-28s  %s\n' "$name" "$verdict" ;;
        *) fail "WRONG  $name: expected ${expect%%:*}, got $verdict" ;;
        esac
        n=$((n + 1))
    done
    "$binary" check "$archive" >/dev/null || fail "the archive is not whole"
    "$binary" replay "$archive" | tail -3 || fail "the decisions do not derive again"
}

start=$SECONDS
names=()
for file in "$here"/gpu/faults/*.cu; do
    names+=("$(basename "$file" .cu)")
    if [ ${#names[@]} -eq 15 ]; then
        run_batch "${names[@]}"
        names=()
    fi
done
[ ${#names[@]} -gt 0 ] && run_batch "${names[@]}"
echo "$((seen - bad)) of $seen right, $((SECONDS - start)) s, on $device"
[ "$bad" -eq 0 ]
