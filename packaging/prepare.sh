# Sourced by ./run, ./test and ./bench: installs what is missing (quietly, once) and builds a preset.
# shellcheck shell=bash
export DEBIAN_FRONTEND=noninteractive

fn_say() { if [ "${FENGNI_LANG:-zh}" = en ]; then printf '%s\n' "$2" >&2; else printf '%s\n' "$1" >&2; fi; }

fn_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# fn_packages NAME…: installs those that dpkg does not know as installed.
fn_packages() {
    local missing=() name
    for name in "$@"; do
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    fn_say "安装所缺软件包:${missing[*]}" "installing missing packages: ${missing[*]}"
    local log
    log=$(mktemp)
    # A fresh machine has no package lists yet, and old lists name versions that are gone: refresh and try once more.
    if ! fn_root apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
        fn_root apt-get update -q >>"$log" 2>&1 || true
        if ! fn_root apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
            tail -n 20 "$log" >&2
            fn_say "软件包安装失败;离线机器请先从本地源安装上列软件包" \
                   "could not install; on a machine without network install these packages from local media first"
            rm -f "$log"
            return 1
        fi
    fi
    rm -f "$log"
}

FN_BUILD_PACKAGES=(gcc cmake ninja-build pkg-config libc6-dev libssl-dev libsqlite3-dev libcyaml-dev libyaml-dev libjansson-dev
                   libseccomp-dev)

# fn_build PRESET [TARGET…]
fn_build() {
    local preset=$1 log
    shift
    log=$(mktemp)
    fn_say "编译($preset)…" "building ($preset) …"
    if ! { cmake --preset "$preset" >"$log" 2>&1 && cmake --build "build/$preset" ${1:+--target "$@"} >>"$log" 2>&1; }; then
        grep -E 'error|Error|FAILED' -A 5 "$log" | head -n 60 >&2
        fn_say "编译失败" "build failed"
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
