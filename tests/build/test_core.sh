#!/usr/bin/env bash
# The core, the algorithms and the formats build for x86-64, aarch64 and wasm32, include no hosted header and import nothing but
# four memory functions (design: storeys 0 to 2).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$FENGNI_SRC"
mapfile -t sources < <(find src/base/core src/crypto src/policy -name '*.c' | sort)
[ "${#sources[@]}" -gt 10 ]

if grep -nE '#include <' $(find src/base/core src/crypto src/policy -name '*.[ch]') |
    grep -vE '<(stdint|stddef|stdbool|stdarg|limits|valgrind\/memcheck|cpuid|immintrin|arm_neon)\.h>'; then
    echo "a hosted header in the freestanding storeys"
    exit 1
fi

check() { # target compiler… : compile everything, link into one object, list what stays undefined
    local target=$1 allowed=$2 unknown
    shift 2
    mkdir -p "$work/$target"
    local source object
    for source in "${sources[@]}"; do
        object="$work/$target/$(echo "$source" | tr / _).o"
        "$@" -std=gnu11 -O2 -ffreestanding -Isrc -Wall -Wextra -Werror -Wno-missing-field-initializers -c "$source" -o "$object"
    done
    unknown=$(llvm-nm-14 -u "$work/$target"/*.o | awk '/ U /{print $2}' | sort -u)
    llvm-nm-14 --defined-only "$work/$target"/*.o | awk 'NF==3 && $2 ~ /[A-Z]/{print $3}' | sort -u >"$work/$target/defined"
    unknown=$(comm -23 <(echo "$unknown") "$work/$target/defined" | grep -vE "^($allowed)$" || true)
    if [ -n "$unknown" ]; then
        echo "$target imports: $unknown"
        exit 1
    fi
    echo "$target: ${#sources[@]} files, imports within the allowed"
}

# __multi3 and __udivti3-like helpers are the compiler's own library, present wherever the target is.
check x86-64 '_GLOBAL_OFFSET_TABLE_|memcpy|memmove|memset|memcmp' gcc
check aarch64 'memcpy|memmove|memset|memcmp' aarch64-linux-gnu-gcc -mno-outline-atomics
check wasm32 'memcpy|memmove|memset|memcmp|__multi3|__stack_pointer|__indirect_function_table|__tls_base' clang-14 --target=wasm32

# The test can fail: a file that calls something else is noticed.
echo 'int puts(const char *); int fn_probe(void); int fn_probe(void) { return puts("x"); }' >"$work/probe.c"
sources+=("$work/probe.c")
if (check probe '_GLOBAL_OFFSET_TABLE_|memcpy|memmove|memset|memcmp' gcc) >/dev/null; then
    echo "the check did not notice an import"
    exit 1
fi
