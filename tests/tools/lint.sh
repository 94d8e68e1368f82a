#!/bin/sh
# What the compiler does not check: format, file length, banned functions, top-level entries, a README in each folder.
# usage: lint.sh ROOT
set -eu
cd "$1"
status=0
fail() {
    echo "$*"
    status=1
}

sources=$(find search archive eval prompts tests -name '*.[ch]' | sort)
clang-format --version | grep -q 'version 14' || fail "clang-format 14 is needed"
clang-format --dry-run --Werror $sources || fail "run clang-format -i on the files above"

for file in $sources; do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || fail "$file: $lines lines, at most 600"
done

banned='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atof|strtok|system|popen|rand|srand|alloca|tmpnam|mktemp'
if grep -nE "(^|[^A-Za-z0-9_.>\"])($banned) *\(" $sources; then
    fail "banned functions, see above"
fi

for entry in *; do
    case $entry in
    CMakeLists.txt | search | eval | prompts | archive | kernels | tests | examples | README.md) ;;
    build | demo-archive*) ;; # ignored by git
    *) fail "$entry: no place at the top level" ;;
    esac
done

for folder in search/base search/engine search/cli eval eval/sim prompts archive kernels tests; do
    [ -f "$folder/README.md" ] || fail "$folder: no README.md"
done
exit $status
