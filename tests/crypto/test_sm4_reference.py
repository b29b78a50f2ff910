"""Results of the C code, printed by the program crypto.sm4_aead, against the reference in Python."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["FENGNI_SRC"], "tests", "reference"))
import sm4_modes as sm4  # noqa: E402


def hexed(text):
    return b"" if text == "-" else bytes.fromhex(text)


def expected(mode, key, iv, aad, data, tag_size):
    """(output, tag) of a mode."""
    simple = {"cbc": sm4.cbc_encrypt, "cfb": sm4.cfb_encrypt, "ofb": sm4.ofb, "ctr": sm4.ctr}
    if mode in simple:
        return simple[mode](key, iv, data), b""
    return {
        "ecb": lambda: (sm4.ecb_encrypt(key, data), b""),
        "xts-gb": lambda: (sm4.xts(key, iv, data, True), b""),
        "xts-ieee": lambda: (sm4.xts(key, iv, data, False), b""),
        "cmac": lambda: (b"", sm4.cmac(key, data)),
        "cbc-mac": lambda: (b"", sm4.cbc_mac(key, iv, data)),
        "gcm": lambda: sm4.gcm_encrypt(key, iv, aad, data),
        "ccm": lambda: sm4.ccm_encrypt(key, iv, aad, data, tag_size),
    }[mode]()


def self_check():
    """The reference itself against the standards, and its decryption against its encryption."""
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert sm4.ecb_encrypt(key, key).hex() == "681edf34d206965e86b3e94f536e4246"
    nonce, aad = bytes.fromhex("00001234567800000000abcd"), bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    text = bytes.fromhex("".join(d * 16 for d in "abcdefea"))
    assert sm4.gcm_encrypt(key, nonce, aad, text)[1].hex() == "83de3541e4c2b58177e065a9bf7b62ec"
    assert sm4.ccm_encrypt(key, nonce, aad, text)[1].hex() == "16842d4fa186f56ab33256971fa110f4"
    iv = bytes(range(16))
    assert sm4.ecb_decrypt(key, sm4.ecb_encrypt(key, text)) == text
    assert sm4.cbc_decrypt(key, iv, sm4.cbc_encrypt(key, iv, text)) == text
    assert sm4.cfb_decrypt(key, iv, sm4.cfb_encrypt(key, iv, text)) == text
    for gb in (True, False):
        for n in range(16, 64):
            both = sm4.xts(key + text[:16], iv, text[:n], gb)
            assert sm4.xts(key + text[:16], iv, both, gb, decrypt=True) == text[:n]


def main():
    self_check()
    program = os.path.join(os.environ["FENGNI_BIN"], "tests", "crypto.sm4_aead")
    lines = subprocess.run([program, "print"], check=True, capture_output=True, text=True).stdout.splitlines()
    modes, wrong = {}, 0
    for line in lines:
        mode, *fields = line.split()
        key, iv, aad, data, out, tag = map(hexed, fields)
        modes[mode] = modes.get(mode, 0) + 1
        if expected(mode, key, iv, aad, data, len(tag)) != (out, tag):
            print("differs:", line)
            wrong += 1
    print(len(lines), "results compared:", modes)
    return 1 if wrong or len(modes) != 11 or len(lines) < 400 else 0


sys.exit(main())
