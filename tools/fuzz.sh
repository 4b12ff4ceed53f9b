#!/bin/bash

# fuzz.sh build                builds all fuzzers
# fuzz.sh run [name ...]       runs them, each FUZZ_SECONDS (600), one after
#                              the other; new inputs gather in
#                              $BUILD/fuzz/corpus/name, what fails them in
#                              $BUILD/fuzz/failed
# fuzz.sh merge [name ...]     keeps in fuzz/corpus/name what reaches more than
#                              is kept already, of all that has gathered
# fuzz.sh coverage [name ...]  prints how much of the module's files the kept
#                              inputs reach

. "$(dirname "$0")/lib.sh"

shopt -s nullglob

out=${FUZZ_OUT:-$build/fuzz}

# for libFuzzer: the largest input, in octets
max_len=700


build_fuzzers() {
    "$root/tools/install.sh" fuzz
    FUZZ_OUT=$out "$root/tools/fuzz-build.sh"
    nice make --no-print-directory -j "$(nproc)" FUZZ_OUT="$out" \
        fuzz-binaries >&2
}


all_names() {
    local file

    for file in fuzz/*_fuzz.c; do
        basename "$file" _fuzz.c
    done
}


run_one() {
    local name=$1

    mkdir -p "$out/corpus/$name" "$out/failed"

    say "fuzzing $name for ${FUZZ_SECONDS:-600} seconds"

    nice "$out/${name}_fuzz" -max_total_time="${FUZZ_SECONDS:-600}" \
        -max_len=$max_len -timeout=20 -rss_limit_mb=2000 \
        -dict="fuzz/dict/$name.dict" -artifact_prefix="$out/failed/$name-" \
        -print_final_stats=1 \
        "$out/corpus/$name" "fuzz/corpus/$name" > "$out/$name.log" 2>&1 \
        || {
            grep -m1 -A30 -E '^FUZZ:|ERROR:|runtime error' "$out/$name.log" \
                || tail -30 "$out/$name.log"
            die "$name failed, see $out/$name.log and $out/failed/"
        }

    tail -8 "$out/$name.log"
}


# Those with a name of their own stay.  Edges only: how often each is taken
# would make ten times as many files.

merge_one() {
    local name=$1
    local merged=$out/merged/$name
    local hash='[0-9a-f]{40}'

    rm -rf "$merged"
    mkdir -p "$merged" "$out/corpus/$name"

    find "fuzz/corpus/$name" -type f -regextype posix-extended \
        ! -regex ".*/$hash" -exec cp -t "$merged" {} +

    nice "$out/${name}_fuzz" -set_cover_merge=1 -use_counters=0 \
        -max_len=$max_len "$merged" "fuzz/corpus/$name" "$out/corpus/$name" \
        > "$out/$name.log" 2>&1 || die "see $out/$name.log"

    rm -f "fuzz/corpus/$name"/*
    cp "$merged"/* "fuzz/corpus/$name/"
    say "$name: $(find "$merged" -type f | wc -l) inputs are kept"
}


coverage() {
    local name
    local -a objects=()

    rm -rf "$out/profiles"
    mkdir -p "$out/profiles"

    for name in "$@"; do
        LLVM_PROFILE_FILE=$out/profiles/$name.profraw \
            nice "$out/${name}_fuzz" -runs=0 -artifact_prefix="$out/" \
            "fuzz/corpus/$name" \
            > "$out/$name.log" 2>&1 || die "see $out/$name.log"
        objects+=(-object "$out/${name}_fuzz")
    done

    llvm-profdata merge -o "$out/profile" "$out/profiles"/*.profraw
    llvm-cov report -instr-profile="$out/profile" "${objects[@]:1}" \
        "$root"/ngx_stomp_module/*/*.c
}


action=$1
shift

if [ $# = 0 ]; then
    readarray -t names < <(all_names)
else
    names=("$@")
fi

case $action in

build)
    build_fuzzers
    ;;

run)
    build_fuzzers

    for name in "${names[@]}"; do
        run_one "$name"
    done
    ;;

merge)
    build_fuzzers

    for name in "${names[@]}"; do
        merge_one "$name"
    done
    ;;

coverage)
    out=$build/fuzz-coverage
    export FUZZ_CFLAGS='-fprofile-instr-generate -fcoverage-mapping'
    build_fuzzers
    coverage "${names[@]}"
    ;;

*)
    die "unknown action \"$action\""
    ;;
esac
