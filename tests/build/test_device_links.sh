#!/usr/bin/env bash
# What the device and the libraries for others are linked with (design 4), and which names the libraries show: those of their
# headers and nothing else, without symbol versions, because foreign loaders bind them with dlsym.
set -euo pipefail
bin=${FENGNI_RELEASE:-$FENGNI_BIN}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$*"
    exit 1
}

# The sanitizers' libraries belong to a debug build alone. The dynamic loader stands for thread-local variables.
needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v -E '^(libasan|libubsan|libgcc_s|ld-linux-.*)\.so' || true; }

only() { # file library…: exactly these
    local file=$1 library all
    shift
    all=$(needed "$file" | sort)
    echo "$(basename "$file"): $(echo $all)"
    for library in $all; do
        case " $* libm.so.6 libpthread.so.0 libdl.so.2 " in
        *" $library "*) ;;
        *) fail "$library does not belong into $(basename "$file")" ;;
        esac
    done
    for library in "$@"; do
        grep -qx "$library" <<<"$all" || fail "$library is missing in $(basename "$file")"
    done
    if [ -n "${FENGNI_RELEASE:-}" ] && readelf -d "$file" | grep -qE 'libasan|libubsan'; then fail "sanitizers in a release"; fi
}

# libm: the fifteen tests of GM/T 0005 need erfc, lgamma and cosines.
only "$bin/fengni-device" libc.so.6 libcrypto.so.3 libseccomp.so.2
only "$bin/libsdf.so" libc.so.6
only "$bin/libfengni-data.so" libc.so.6 libsqlite3.so.0
for word in sqlite3_ json_object yaml_parser; do
    if nm "$bin/fengni-device" 2>/dev/null | grep -q "[ U] $word"; then fail "$word… is in the device"; fi
done

# Functions that a header declares, after the preprocessor; typedefs of functions are none.
declared() { # pattern header
    printf '#include "%s"\n' "$2" | gcc -E -P -I"$FENGNI_SRC/include" -x c - | tr '\n' ' ' | tr ';{}' '\n\n\n' |
        grep -v typedef | grep -oE "\b$1[A-Za-z0-9_]+ *\(" | tr -d ' (' | sort -u
}
shown() { nm -D --defined-only "$1" | awk '{print $3}' | sort -u; }

compare() { # library
    local library=$1
    shown "$library" >"$work/shown"
    [ "$(wc -l <"$work/declared")" -ge "$2" ] || fail "only $(wc -l <"$work/declared") functions found in the headers of $library"
    if ! diff "$work/declared" "$work/shown" >"$work/diff"; then
        sed -n 's/^< /declared and not shown: /p; s/^> /shown and not declared: /p' "$work/diff"
        fail "$(basename "$library") does not show what its headers declare"
    fi
    if readelf -V "$library" | grep -q 'Version definition'; then fail "$(basename "$library") has symbol versions"; fi
    if nm -D --defined-only "$library" | grep -q '@'; then fail "$(basename "$library") has versioned symbols"; fi
    echo "$(basename "$library"): $(wc -l <"$work/shown") functions, as declared"
}

{ declared 'SDF_' gmt/sdf.h; declared 'SDFX_' fengni/sdf_ext.h; } | sort -u >"$work/declared"
compare "$bin/libsdf.so" 100
declared 'fengni_' fengni/data.h >"$work/declared"
compare "$bin/libfengni-data.so" 10

# The checks can fail: a library that needs more, one that shows more, one with versions.
echo 'double lgamma(double); int puts(const char *); int SDF_OpenDevice(void **d); int stray(void);
      int SDF_OpenDevice(void **d) { return d ? 0 : 1; } int stray(void) { return 1; }' >"$work/probe.c"
echo 'V1 { global: *; };' >"$work/probe.map"
gcc -shared -fPIC "$work/probe.c" -o "$work/libprobe.so" -Wl,--no-as-needed -lcrypto
gcc -shared -fPIC "$work/probe.c" -o "$work/libversions.so" -Wl,--version-script="$work/probe.map"
if (only "$work/libprobe.so" libc.so.6) >/dev/null; then fail "a library too many was not noticed"; fi
echo SDF_OpenDevice >"$work/declared"
if (compare "$work/libprobe.so" 1) >/dev/null; then fail "a name too many was not noticed"; fi
printf 'SDF_OpenDevice\nstray\n' >"$work/declared"
(compare "$work/libprobe.so" 1) >/dev/null || fail "the names of the probe were not found"
if (compare "$work/libversions.so" 1) >/dev/null; then fail "symbol versions were not noticed"; fi
