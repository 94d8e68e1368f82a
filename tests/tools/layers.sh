#!/bin/sh
# Every #include edge between our folders must point downwards:
#   search/base <- archive, eval, prompts (none of these includes another) <- search/engine <- search/cli, tests, examples
# usage: layers.sh ROOT
set -eu
cd "$1"
status=0
checked=0

layer() {
    case $1 in
    search/kdasearch.h | search/base/*) echo base ;;
    archive/*) echo archive ;;
    eval/*) echo eval ;;
    prompts/*) echo prompts ;;
    search/engine/*) echo engine ;;
    search/cli/*) echo cli ;;
    *) echo top ;;
    esac
}

allowed() {
    case $1 in
    base) echo "base" ;;
    archive) echo "base archive" ;;
    eval) echo "base eval" ;;
    prompts) echo "base prompts" ;;
    engine) echo "base archive eval prompts engine" ;;
    cli) echo "base archive eval prompts engine cli" ;;
    top) echo "base archive eval prompts engine cli top" ;;
    esac
}

for file in $(find search archive eval prompts -name '*.[ch]' -o -name '*.inc' | sort); do
    from=$(layer "$file")
    for to in $(sed -n 's/^#include "\(.*\)"/\1/p' "$file"); do
        checked=$((checked + 1))
        case $to in
        search/* | archive/* | eval/* | prompts/*) ;;
        *) continue ;; # a generated file
        esac
        if [ ! -f "$to" ]; then
            echo "$file: includes $to, which does not exist"
            status=1
        fi
        case " $(allowed "$from") " in
        *" $(layer "$to") "*) ;;
        *)
            echo "$file: layer $from must not include $to"
            status=1
            ;;
        esac
    done
done
[ "$checked" -gt 100 ] || { echo "only $checked edges found: this test is broken"; status=1; }
exit $status
