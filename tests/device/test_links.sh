#!/bin/bash
# The device is linked with the C library, libcrypto and libseccomp, and with nothing else (design 4).
set -e
program=$FENGNI_BIN/fengni-device
needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v -E '^(libasan|libubsan|libgcc_s)\.so')
echo "$needed"
for library in $needed; do
    case $library in
    libc.so.6 | libm.so.6 | libpthread.so.0 | ld-linux-*.so.* | libcrypto.so.3 | libseccomp.so.2) ;;
    *) echo "$library does not belong into the device"; exit 1 ;;
    esac
done
for library in libcrypto.so.3 libseccomp.so.2; do
    grep -q "$library" <<<"$needed" || { echo "$library is missing"; exit 1; }
done
for word in sqlite3_ json_object yaml_parser; do
    if nm "$program" 2>/dev/null | grep -q "[ U] $word"; then echo "$word… is in the device"; exit 1; fi
done
