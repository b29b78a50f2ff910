"""Every kind of work through real frames: ciphers, MACs, signatures, session keys, parts, files, anchors, keys."""
import hashlib
import os

from device_client import *

SHORT = dict(id_=b"1234567812345678")


def ciphers(d, c):
    key, _, _ = c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "ciphers")
    for alg in (CBC, CFB, OFB, CTR):
        size = 64 if alg == CBC else 61
        data = os.urandom(size)
        refused("KEY_NONCE", c.call, "ENCRYPT", by_uuid(key) + u32(alg) + var(bytes(16)) + var(data), "vv")
        iv, sealed_data = c.call("ENCRYPT", by_uuid(key) + u32(alg) + var(b"") + var(data), "vv")
        assert len(iv) == 16 and sealed_data != data and len(sealed_data) == size
        _, back = c.call("DECRYPT", by_uuid(key) + u32(alg) + var(iv) + var(sealed_data), "vv")
        assert back == data
    refused("CIPHER_LENGTH", c.call, "ENCRYPT", by_uuid(key) + u32(CBC) + var(b"") + var(b"x" * 15), "vv")
    refused("KEY_ALGORITHM", c.call, "ENCRYPT", by_uuid(key) + u32(0x2001) + var(b"") + var(b"x" * 16), "vv")
    refused("KEY_USAGE", c.call, "MAC", by_uuid(key) + u32(SM3_HMAC) + var(b"") + var(b"x"), "vv")


def aead(d, c):
    key, _, _ = c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "aead")
    for alg in (GCM, CCM):
        messages = [os.urandom(n) for n in (0, 1, 15, 16, 17, 255, 4096)]
        refused("KEY_NONCE", c.call, "AEAD_ENCRYPT", by_uuid(key) + u32(alg) + var(bytes(12)) + var(b"") + var(b"m"), "vvvW")
        made = c.many("AEAD_ENCRYPT", [by_uuid(key) + u32(alg) + var(b"") + var(b"a%d" % i) + var(m) for i, m in enumerate(messages)], "vvvW")
        nonces = {v[0] for s, v in made}
        assert len(nonces) == len(messages)
        items = [by_uuid(key, v[3]) + u32(alg) + var(v[0]) + var(b"a%d" % i) + var(v[2]) + var(v[1]) for i, (s, v) in enumerate(made)]
        # The third and the last are spoilt; the others open all the same.
        bad = bytearray(items[6])
        bad[-1] ^= 1
        items[6] = bytes(bad)
        items[2] = by_uuid(key, 1) + u32(alg) + var(made[2][1][0]) + var(b"other") + var(made[2][1][2]) + var(made[2][1][1])
        opened = c.many("AEAD_DECRYPT", items, "v")
        for i, (status, values) in enumerate(opened):
            if i in (2, 6):
                assert status == E["TAG"], status
            else:
                assert status == 0 and values[0] == messages[i], i


def rotation(d, c):
    key, version, _ = c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "rotation")
    old = c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"old"), "vvvW")
    assert old[3] == 1
    new_version, _ = c.call("KEY_ROTATE", key, "Wv")
    assert new_version == 2
    new = c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"new"), "vvvW")
    assert new[3] == 2
    refused("KEY_STATE", c.call, "AEAD_ENCRYPT", by_uuid(key, 1) + u32(GCM) + var(b"") + var(b"") + var(b"x"), "vvvW")
    assert c.call("AEAD_DECRYPT", by_uuid(key, 1) + u32(GCM) + var(old[0]) + var(b"") + var(old[2]) + var(old[1]), "v") == b"old"
    refused("TAG", c.call, "AEAD_DECRYPT", by_uuid(key, 2) + u32(GCM) + var(old[0]) + var(b"") + var(old[2]) + var(old[1]), "v")
    assert c.call("KEY_FIND", var("rotation"), "UW") == [key, 2]
    refused("EXISTS", c.key_new, DATA_ENC, SM4, ENC_USE | DEC_USE, "rotation")


def hashes(d, c):
    assert c.call("HASH", u32(SM3) + var(b"abc"), "v").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert c.call("HASH", u32(SHA256) + var(b"abc"), "v") == hashlib.sha256(b"abc").digest()
    key, _, _ = c.key_new(MAC_CLASS, HMAC, MAC_USE, "hashes")
    messages = [os.urandom(n) for n in (0, 1, 63, 64, 65, 1000)]
    macs = c.many("MAC", [by_uuid(key) + u32(SM3_HMAC) + var(b"") + var(m) for m in messages], "vv")
    again = [c.call("MAC", by_uuid(key) + u32(SM3_HMAC) + var(b"") + var(m), "vv") for m in messages]
    assert [v for s, v in macs] == again and len({m[1] for m in again}) == len(messages)
    refused("KEY_USAGE", c.call, "ENCRYPT", by_uuid(key) + u32(ECB) + var(b"") + var(bytes(16)), "vv")
    c.call("PART_START", u8(3) + by_uuid(key) + u32(SM3) + var(b"") + var(b"") + u64(0) + var(b""))
    for i in range(0, 1000, 77):
        c.call("PART_UPDATE", u8(3) + var(messages[5][i:i + 77]), "v")
    assert c.call("PART_FINISH", u8(3), "vv")[1] == again[5][1]
    refused("DEVICE_STEP", c.call, "PART_FINISH", u8(3), "vv")
    refused("KEY_POLICY", c.key_new, APP_ENC, SM4, ENC_USE | DEC_USE)
    refused("KEY_POLICY", c.key_new, SRV_ENC, SM2, ENC_USE | DEC_USE)
    refused("KEY_POLICY", c.key_new, KEK, SM4, WRAP_USE | UNWRAP_USE)
    refused("KEY_USAGE", c.key_new, MAC_CLASS, HMAC, MAC_USE | ENC_USE)


def signatures(d, c):
    for alg, size, public in ((SM2, 64, 64), (P256, 64, 64), (RSA2048, 256, 516)):
        key, _, pub = c.key_new(SRV_SIGN, alg, SIGN_USE | VERIFY_USE, "sign %d" % alg)
        assert len(pub) == public and c.call("KEY_PUBLIC", by_uuid(key), "Hv") == [alg, pub]
        digests = [os.urandom(32) for _ in range(33 if alg == SM2 else 2)]
        signed = c.many("SIGN", [by_uuid(key) + e for e in digests], "v")
        assert all(s == 0 and len(v[0]) == size for s, v in signed)
        good = c.many("VERIFY", [by_uuid(key) + e + var(v[0]) for e, (s, v) in zip(digests, signed)], "")
        assert all(s == 0 for s, _ in good)
        outside = c.many("VERIFY", [external(alg, pub) + e + var(v[0]) for e, (s, v) in zip(digests[1:] + digests[:1], signed)], "")
        assert all(s == E["SIGNATURE"] for s, _ in outside)
        refused("KEY_USAGE", c.call, "PK_DECRYPT", by_uuid(key) + var(bytes(100)), "v")
    refused("SM2_POINT", c.call, "VERIFY", external(SM2, bytes(64)) + bytes(32) + var(bytes(64)))


def indexes(d, c):
    d.manage("key.create_index", index=1, half="both", password="password one")
    d.manage("key.create_index", index=2, half="both")
    d.manage("key.create_index", index=3, half="both", algorithm="rsa2048")
    d.manage("kek.create", index=1)
    refused("EXISTS", d.manage, "key.create_index", index=1, half="sign")
    s = c.session()
    e = os.urandom(32)
    refused("KEY_RIGHT", c.call, "SIGN", by_index(1) + e, "v", session=s)
    refused("KEY_PASSWORD", c.call, "ACCESS_TAKE", u32(1) + var("password two"), session=s)
    c.call("ACCESS_TAKE", u32(1) + var("password one"), session=s)
    signature = c.call("SIGN", by_index(1) + e, "v", session=s)
    c.call("VERIFY", by_index(1) + e + var(signature))
    refused("KEY_RIGHT", c.call, "SIGN", by_index(1) + e, "v")  # the right belongs to the session
    c.call("ACCESS_RELEASE", u32(1), session=s)
    refused("KEY_RIGHT", c.call, "SIGN", by_index(1) + e, "v", session=s)
    refused("KEY_INDEX", c.call, "SIGN", by_index(99) + e, "v", session=s)
    # The device's own pair: its public half for everybody, its private half for nobody.
    assert len(c.call("KEY_PUBLIC", by_index(0), "Hv")[1]) == 64
    refused("KEY_RIGHT", c.call, "SIGN", by_index(0) + e, "v", session=s)
    for index in (2, 3):
        wrapped, h1 = c.call("SESSION_KEY_IPK", by_index(index, 1) + u32(128), "vQ", session=s)
        h2 = c.call("SESSION_KEY_ISK", by_index(index, 1) + var(wrapped), "Q", session=s)
        iv, data = c.call("ENCRYPT", by_handle(h1) + u32(CBC) + var(bytes(16)) + var(b"0123456789abcdef" * 3), "vv", session=s)
        _, back = c.call("DECRYPT", by_handle(h2) + u32(CBC) + var(bytes(16)) + var(data), "vv", session=s)
        assert back == b"0123456789abcdef" * 3 and iv == data[-16:]
        text = c.call("PK_ENCRYPT", by_index(index, 1) + var(b"a secret"), "v")
        assert c.call("PK_DECRYPT", by_index(index, 1) + var(text), "v", session=s) == b"a secret"
    raw = (b"\0" * 255) + b"\5"
    assert c.call("RSA_PUBLIC", by_index(3) + var(c.call("RSA_PRIVATE", by_index(3) + var(raw), "v", session=s)), "v") == raw
    for alg in (ECB, CBC, GCM):
        wrapped, h1 = c.call("SESSION_KEY_KEK", by_index(1, 2) + u32(128) + u32(alg), "vQ", session=s)
        h2 = c.call("SESSION_KEY_KEK_IN", by_index(1, 2) + u32(alg) + var(wrapped), "Q", session=s)
        one = c.call("MAC", by_handle(h1) + u32(SM4_MAC) + var(b"") + var(bytes(32)), "vv", session=s)
        assert one == c.call("MAC", by_handle(h2) + u32(SM4_MAC) + var(b"") + var(bytes(32)), "vv", session=s)
    refused("KEY_HANDLE", c.call, "MAC", by_handle(h1) + u32(SM4_MAC) + var(b"") + var(bytes(32)), "vv")  # other session
    c.call("SESSION_KEY_DESTROY", u64(h1), session=s)
    refused("KEY_HANDLE", c.call, "MAC", by_handle(h1) + u32(SM4_MAC) + var(b"") + var(bytes(32)), "vv", session=s)
    refused("CLEAR_KEY", c.call, "SESSION_KEY_CLEAR_IN", var(bytes(16)), "Q", session=s)
    _, pub = c.call("KEY_PUBLIC", by_index(2, 1), "Hv")
    wrapped, h = c.call("SESSION_KEY_EPK", external(SM2, pub) + u32(128), "vQ", session=s)
    c.call("SESSION_KEY_ISK", by_index(2, 1) + var(wrapped), "Q", session=s)
    refused("SM2_CIPHERTEXT", c.call, "SESSION_KEY_ISK", by_index(2, 1) + var(wrapped[:-1] + bytes([wrapped[-1] ^ 1])), "Q", session=s)
    c.call("ENVELOPE_EXCHANGE", by_index(2, 1) + external(SM2, pub) + var(wrapped), "v", session=s)
    agreement(c, s)
    xts(c, s)
    c.call("SESSION_CLOSE", session=s)
    refused("NOT_FOUND", c.call, "SESSION_CLOSE", session=s)


def agreement(c, s):
    own, ephemeral, handle = c.call("AGREE_START", by_index(2, 1) + u32(128) + var("sponsor"), "vvQ", session=s)
    # Both ends are the same pair here; the ephemeral keys differ.
    theirs, their_ephemeral, key_b = c.call("AGREE_RESPOND", by_index(2, 1) + u32(128) + var("responder") + var("sponsor") + var(own) +
                                            var(ephemeral), "vvQ", session=s)
    key_a = c.call("AGREE_FINISH", u64(handle) + var("responder") + var(theirs) + var(their_ephemeral), "Q", session=s)
    one = c.call("ENCRYPT", by_handle(key_a) + u32(ECB) + var(b"") + var(bytes(16)), "vv", session=s)
    assert one == c.call("ENCRYPT", by_handle(key_b) + u32(ECB) + var(b"") + var(bytes(16)), "vv", session=s)
    refused("KEY_HANDLE", c.call, "AGREE_FINISH", u64(handle) + var("responder") + var(theirs) + var(their_ephemeral), "Q", session=s)


def xts(c, s):
    wrapped, long_key = c.call("SESSION_KEY_IPK", by_index(2, 1) + u32(256), "vQ", session=s)
    data = os.urandom(50)
    _, text = c.call("ENCRYPT", by_handle(long_key) + u32(XTS) + var(bytes(16)) + var(data), "vv", session=s)
    assert c.call("DECRYPT", by_handle(long_key) + u32(XTS) + var(bytes(16)) + var(text), "vv", session=s)[1] == data
    refused("KEY_ALGORITHM", c.call, "ENCRYPT", by_handle(long_key) + u32(CBC) + var(bytes(16)) + var(bytes(16)), "vv", session=s)


def parts(d, c):
    s = c.session()
    _, h = c.call("SESSION_KEY_IPK", by_index(2, 1) + u32(128), "vQ", session=s)
    data, iv, key = os.urandom(1000), os.urandom(16), by_handle(h)
    for alg in (ECB, CBC, CFB, OFB, CTR):
        text = data[:992] if alg in (ECB, CBC) else data
        start = b"" if alg == ECB else iv
        whole = c.call("ENCRYPT", key + u32(alg) + var(start) + var(text), "vv", session=s)[1]
        for kind, source, wanted in ((0, text, whole), (1, whole, text)):
            c.call("PART_START", u8(kind) + key + u32(alg) + var(start) + var(b"") + u64(0) + var(b""), session=s)
            out, at = b"", 0
            for step in (1, 15, 16, 17, 100, 3, 848):
                out += c.call("PART_UPDATE", u8(kind) + var(source[at:at + step]), "v", session=s)
                at += step
            out += c.call("PART_FINISH", u8(kind), "vv", session=s)[0]
            assert out == wanted, (alg, kind)
    for alg in (GCM, CCM):
        nonce, aad = os.urandom(12), b"associated"
        n, whole, tag, _ = c.call("AEAD_ENCRYPT", key + u32(alg) + var(nonce) + var(aad) + var(data), "vvvW", session=s)
        assert n == nonce
        c.call("PART_START", u8(4) + key + u32(alg) + var(nonce) + var(aad) + u64(1000) + var(b""), session=s)
        out = c.call("PART_UPDATE", u8(4) + var(data[:333]), "v", session=s) + c.call("PART_UPDATE", u8(4) + var(data[333:]), "v", session=s)
        last, made = c.call("PART_FINISH", u8(4), "vv", session=s)
        assert out + last == whole and made == tag
        c.call("PART_START", u8(5) + key + u32(alg) + var(nonce) + var(aad) + u64(1000) + var(tag), session=s)
        out = b"".join(c.call("PART_UPDATE", u8(5) + var(whole[at:at + 77]), "v", session=s) for at in range(0, 1000, 77))
        last, none = c.call("PART_FINISH", u8(5), "vv", session=s)
        assert out + last == data and len(last) < 16 and none == b""
        c.call("PART_START", u8(5) + key + u32(alg) + var(nonce) + var(aad) + u64(1000) + var(bytes(16)), session=s)
        c.call("PART_UPDATE", u8(5) + var(whole), "v", session=s)
        refused("TAG", c.call, "PART_FINISH", u8(5), "vv", session=s)
    c.call("PART_START", u8(0) + key + u32(CBC) + var(iv) + var(b"") + u64(0) + var(b""), session=s)
    refused("DEVICE_STEP", c.call, "PART_START", u8(0) + key + u32(CBC) + var(iv) + var(b"") + u64(0) + var(b""), session=s)
    c.call("PART_START", u8(0) + key + u32(CBC) + var(iv) + var(b"") + u64(0) + var(b""), session=s)
    c.call("PART_UPDATE", u8(0) + var(b"12345"), "v", session=s)
    refused("CIPHER_LENGTH", c.call, "PART_FINISH", u8(0), "vv", session=s)
    refused("DEVICE_STEP", c.call, "PART_UPDATE", u8(0) + var(b"12345"), "v", session=s)


def files(d, c):
    name = var("a file")
    c.call("FILE_CREATE", name + u32(100))
    refused("EXISTS", c.call, "FILE_CREATE", name + u32(10))
    c.call("FILE_WRITE", name + u32(90) + var(b"0123456789"))
    assert c.call("FILE_READ", name + u32(85) + u32(100), "v") == bytes(5) + b"0123456789"
    refused("FILE_SIZE", c.call, "FILE_WRITE", name + u32(91) + var(b"0123456789"))
    refused("FILE_OFFSET", c.call, "FILE_READ", name + u32(101) + u32(1), "v")
    c.call("FILE_DELETE", name)
    refused("NOT_FOUND", c.call, "FILE_READ", name + u32(0) + u32(1), "v")
    refused("NOT_FOUND", c.call, "FILE_DELETE", name)
    refused("FILE_SIZE", c.call, "FILE_CREATE", var("big") + u32(1 << 20))
    refused("ARGUMENT", c.call, "FILE_CREATE", var("") + u32(10))


def anchors(d, c):
    name, digest = var("ledger head"), os.urandom(32)
    c.call("ANCHOR_SET", name + u64(0) + u64(5) + digest, "v")
    refused("ANCHOR_OLD", c.call, "ANCHOR_SET", name + u64(0) + u64(6) + digest, "v")
    refused("ANCHOR_OLD", c.call, "ANCHOR_SET", name + u64(5) + u64(5) + digest, "v")
    receipt = c.call("ANCHOR_SET", name + u64(5) + u64(9) + digest, "v")
    challenge = os.urandom(32)
    owner, counter, got, signature = c.call("ANCHOR_GET", name + challenge, "vQDv")
    assert (owner, counter, got) == (b"default", 9, digest)
    _, pub = c.call("KEY_PUBLIC", by_index(0), "Hv")
    for asked, proof in ((challenge, signature), (bytes(32), receipt)):
        statement = b"fengni anchor 1\0" + asked + name + var("default") + u64(9) + digest
        c.call("VERIFY", external(SM2, pub) + signed_digest(c, pub, statement) + var(proof))
    refused("NOT_FOUND", c.call, "ANCHOR_GET", var("none") + challenge, "vQDv")
    assert json.loads(c.call("ANCHOR_LIST", b"", "v"))[0]["counter"] == 9


def signed_digest(c, pub, message):
    """SM3(Z ‖ message), Z of GB/T 32918.2 5.5 with the usual identifier."""
    curve = bytes.fromhex("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC"
                          "28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"
                          "32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"
                          "BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0")
    z = c.call("HASH", u32(SM3) + var(u16(128) + b"1234567812345678" + curve + pub), "v")
    return c.call("HASH", u32(SM3) + var(z + message), "v")


def destruction(d, c):
    key, _, _ = c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "doomed")
    n, ct, tag, _ = c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")
    c.call("KEY_ROTATE", key, "Wv")
    c.call("KEY_DESTROY", key + u32(1), "vv")
    refused("KEY_DESTROYED", c.call, "AEAD_DECRYPT", by_uuid(key, 1) + u32(GCM) + var(n) + var(b"") + var(tag) + var(ct), "v")
    c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")
    statement, signature = c.call("KEY_DESTROY", key + u32(0), "vv")
    told = json.loads(statement)
    assert told["version"] == "all" and told["key"].replace("-", "") == key.hex() and told["generation"] > 0
    _, pub = c.call("KEY_PUBLIC", by_index(0), "Hv")
    c.call("VERIFY", external(SM2, pub) + signed_digest(c, pub, statement) + var(signature))
    refused("KEY_DESTROYED", c.call, "AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")
    refused("KEY_NOT_FOUND", c.call, "KEY_FIND", var("doomed"), "UW")
    c.key_new(DATA_ENC, SM4, ENC_USE | DEC_USE, "doomed")  # the label is free again
    refused("KEY_NOT_FOUND", c.call, "KEY_DESTROY", os.urandom(16) + u32(0), "vv")


def sealed_keys(d, c):
    blob, pub = c.call("KEY_SEAL_NEW", u16(SRV_SIGN) + u16(SM2) + u32(SIGN_USE | VERIFY_USE) + by_index(1, 2), "vv")
    e = os.urandom(32)
    signature = c.call("SIGN", sealed(blob) + e, "v")
    c.call("VERIFY", external(SM2, pub) + e + var(signature))
    for at in (0, 10, 24, 60, len(blob) - 1):
        spoilt = bytearray(blob)
        spoilt[at] ^= 1
        try:
            c.call("SIGN", sealed(bytes(spoilt)) + e, "v")
            raise AssertionError("a spoilt blob opened")
        except DeviceError as error:
            assert error.status in (E["KEY_BLOB"], E["KEY_NOT_FOUND"]), error


def listing(d, c):
    keys = json.loads(c.call("KEY_LIST", ZERO_UUID + u32(1000), "v"))
    assert len(keys) > 5 and all(k["tenant"] == "default" for k in keys)
    page = json.loads(c.call("KEY_LIST", ZERO_UUID + u32(2), "v"))
    rest = json.loads(c.call("KEY_LIST", bytes.fromhex(page[1]["uuid"].replace("-", "")) + u32(1000), "v"))
    assert [k["uuid"] for k in page + rest] == [k["uuid"] for k in keys]
    info = json.loads(c.call("KEY_INFO", by_index(1), "v"))
    assert info["index"] == 1 and info["password"] and info["random_source"]
    assert len(c.call("INFO", b"", "v")) == 100
    assert len(set(v[0] for s, v in c.many("RANDOM", [u32(32)] * 100, "v"))) == 100


with Device() as d:
    c = d.client()
    for part in (ciphers, aead, rotation, hashes, signatures, indexes, parts, files, anchors, destruction, sealed_keys, listing):
        part(d, c)
        print("ok", part.__name__)
    status = json.loads(c.call("STATUS", b"", "v"))
    assert status["state"] == "READY" and status["unattended"] is True and status["separation"] == "weak"
    assert d.manage("self_test")["self_test"] == dict(status["self_test"], algorithms="good", random="good", keys="good",
                                                      service="good", at_ms=d.manage("status")["self_test"]["at_ms"])
    assert d.manage("log.verify")["records"] > 20
