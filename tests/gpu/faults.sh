#!/bin/bash
# The fault suite on a real GPU: each kernel of tests/gpu/faults, and after each a good one that must
# still be judged right. Prints a table; exits 0 if every verdict is the expected one.
# usage: tests/gpu/faults.sh KDASEARCH [DEVICE [EXTRA OPTIONS]]      (default device: cuda:0)
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
binary=$(realpath "${1:?usage: tests/gpu/faults.sh KDASEARCH [DEVICE [EXTRA OPTIONS]]}")
device=${2:-cuda:0}
shift
[ $# -gt 0 ] && shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0 seen=0

# What `lint` said of one of the batch's kernels: verdict, speed-up, message.
line_of() { # NAME
    sed -n "s|^seeds/$1\.cu *||p" "$work/out"
}

judge() { # NAME EXPECTED VERDICTS (a|b) WORDS
    local line verdict
    line=$(line_of "$1")
    verdict=${line%% *}
    local result=right
    case "|$2|" in *"|$verdict|"*) ;; *) result=WRONG ;; esac
    case $line in *"$3"*) ;; *) [ "$verdict" = ok ] || result=WRONG ;; esac
    [ $result = right ] || bad=$((bad + 1))
    seen=$((seen + 1))
    printf '%-5s  %-28s  %-20s  %s\n' $result "$1" "$2" "${line:0:150}"
}

run_batch() { # FAULTS...: at most 8, each followed by a good kernel
    rm -rf "$work/task"
    cp -r "$here/tasks/scale" "$work/task"
    rm -rf "$work/task/seeds"
    mkdir "$work/task/seeds"
    local n=0 name expect
    for name in "$@"; do
        cp "$here/gpu/faults/$name.cu" "$work/task/seeds/${n}_$name.cu"
        cp "$here/gpu/faults/good_two_elements.cu" "$work/task/seeds/${n}_then_good.cu"
        n=$((n + 1))
    done
    "$binary" lint "$work/task" --skip inputs,mutations --device "$device" "${extra[@]}" >"$work/out" 2>"$work/err"
    local status=$?
    if { [ $status -ne 0 ] && [ $status -ne 3 ]; } || ! grep -q "^baseline/kernel\.cu *ok" "$work/out"; then
        echo "kdasearch ended with status $status:" >&2
        cat "$work/err" >&2
        bad=$((bad + 1))
    fi
    n=0
    for name in "$@"; do
        expect=$(sed -n '1s|^// expect: *||p' "$here/gpu/faults/$name.cu")
        local words=${expect#*: }
        [ "$words" = "$expect" ] && words=
        judge "${n}_$name" "${expect%%:*}" "$words"
        judge "${n}_then_good" ok ""
        n=$((n + 1))
    done
}

extra=("$@")
start=$SECONDS
printf '%-5s  %-28s  %-20s  %s\n' "" kernel expected got
names=()
for file in "$here"/gpu/faults/*.cu; do
    names+=("$(basename "$file" .cu)")
    if [ ${#names[@]} -eq 8 ]; then
        run_batch "${names[@]}"
        names=()
    fi
done
[ ${#names[@]} -gt 0 ] && run_batch "${names[@]}"
echo "$((seen - bad)) of $seen right, $((SECONDS - start)) s, on $device"
[ "$bad" -eq 0 ]
