"""Life of a device: shares, unlocking, roles, a new root, backup and restore, generations of KEKs, pairs from a CA, test tenants."""
import base64
import shutil

from device_client import *

PHRASES = {"alice": "correct horse battery", "bob": "staple lantern river", "carol": "绿水青山就是金山银山诗词歌赋", "dora": "the auditor's own words"}
ROLES = {"alice": "super", "bob": "business", "carol": "business", "dora": "audit"}


def administrators(*names):
    return [{"name": n, "role": ROLES[n], "passphrase": PHRASES[n]} for n in names]


def carried(tokens, *names):
    return [{"token": tokens[n], "passphrase": PHRASES[n]} for n in names]


def tokens_of(answer):
    return {t["name"]: t["token"] for t in answer["tokens"]}


def encrypt(c, key): return c.call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"aad") + var(b"a case"), "vvvW")


def decrypt(c, key, made):
    n, ct, tag, version = made
    return c.call("AEAD_DECRYPT", by_uuid(key, version) + u32(GCM) + var(n) + var(b"aad") + var(tag) + var(ct), "v")


def login(m, tokens, name):
    return m.manage("login", name=name, token=tokens[name], passphrase=PHRASES[name])


def roles(d, tokens):
    refused("DEVICE_LOGIN", d.manage, "client.add", uid=4711, application="x")
    with d.manager() as m:
        refused("DEVICE_LOGIN", m.manage, "login", name="alice", token=tokens["bob"], passphrase=PHRASES["bob"])
        refused("DEVICE_LOGIN", m.manage, "login", name="nobody", token=tokens["bob"], passphrase=PHRASES["bob"])
        assert login(m, tokens, "dora")["role"] == "audit"
        assert m.manage("log.verify")["records"] > 3
        refused("DENIED", m.manage, "client.add", uid=4711, application="x")
        m.manage("logout")
        refused("DEVICE_LOGIN", m.manage, "log.verify")
        assert login(m, tokens, "bob")["role"] == "business"
        refused("DENIED", m.manage, "log.verify")
        m.manage("client.add", uid=4711, application="x")
        m.manage("kek.create", index=1)
        m.manage("key.create_index", index=1, half="sign", password="a password")
        # An answer to no challenge, and a wrong one.
        refused("DEVICE_LOGIN", m.manage, "login", name="alice", signature=base64.b64encode(bytes(64)).decode())
        assert len(base64.b64decode(m.manage("login.challenge", name="alice")["challenge"])) == 104
        refused("DEVICE_LOGIN", m.manage, "login", name="alice", signature=base64.b64encode(bytes(64)).decode())
        assert len(m.manage("person.list")["administrators"]) == 4
        assert len(m.manage("phrase")["phrase"].split()) == 8


def generations(d, c, tokens):
    """A KEK's generation ends, and with it what was not moved."""
    one = c.call("KEY_SEAL_NEW", u16(SRV_SIGN) + u16(SM2) + u32(SIGN_USE | VERIFY_USE) + by_index(1, 2), "vv")[0]
    two = c.call("KEY_SEAL_NEW", u16(DATA_ENC) + u16(SM4) + u32(ENC_USE | DEC_USE) + by_index(1, 2), "vv")[0]
    e = os.urandom(32)
    c.call("SIGN", sealed(one) + e, "v")
    with d.manager() as m:
        login(m, tokens, "bob")
        refused("STATE", m.manage, "kek.retire", index=1)  # no older one yet
        assert m.manage("kek.rotate", index=1)["version"] == 2
        c.call("SIGN", sealed(one) + e, "v")
        moved = c.call("KEY_REWRAP", var(one), "v")
        statement = json.loads(m.manage("kek.retire", index=1)["statement"])
        assert statement["version"] == 1
        refused("STATE", m.manage, "kek.retire", index=1, version=2)
    c.call("SIGN", sealed(moved) + e, "v")
    refused("KEY_DESTROYED", c.call, "SIGN", sealed(one) + e, "v")
    refused("KEY_DESTROYED", c.call, "AEAD_ENCRYPT", sealed(two) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")


def envelope(d, c, tokens):
    """EnvelopedECCKey: the private key and its wrapping of sdf.md 2, under this device's signing key."""
    _, pub = c.call("KEY_PUBLIC", by_index(1, 0), "Hv")
    sm4 = bytes.fromhex("0123456789abcdeffedcba9876543210")
    cipher = c.call("PK_ENCRYPT", external(SM2, pub) + var(sm4), "v")
    enc_pub = bytes.fromhex("d5548c7825cbb56150a3506cd57464af8a1ae0519dfaf3c58221dc810caf28dd"
                            "921073768fe3d59ce54e79a49445cf73fed23086537027264d168946d479533e")
    wrapped = bytes.fromhex("49660a93fc61d46a3af331d027f3de62727bb7723baeaf9956c8de0a44ab8607")
    h, z = struct.Struct("=I").pack, bytes(32)
    blob = (h(1) + h(0x401) + h(256) + z + wrapped + h(256) + z + enc_pub[:32] + z + enc_pub[32:] + z + cipher[:32] + z + cipher[32:64] +
            cipher[64:96] + h(16) + cipher[96:])
    assert len(blob) == 388
    with d.manager() as m:
        login(m, tokens, "bob")
        bad = bytearray(blob)
        bad[30 + 32] ^= 1
        try:
            m.manage("key.import_enveloped", index=1, envelope=base64.b64encode(bytes(bad)).decode())
            raise AssertionError("a spoilt envelope was imported")
        except DeviceError as error:
            assert error.status in (E["KEY_PAIR"], E["SM2_PRIVATE"]), error
        m.manage("key.import_enveloped", index=1, envelope=base64.b64encode(blob).decode())
        refused("EXISTS", m.manage, "key.import_enveloped", index=1, envelope=base64.b64encode(blob).decode())
    assert c.call("KEY_PUBLIC", by_index(1, 1), "Hv")[1] == enc_pub
    secret = c.call("PK_ENCRYPT", external(SM2, enc_pub) + var(b"for the new pair"), "v")
    refused("KEY_RIGHT", c.call, "PK_DECRYPT", by_index(1, 1) + var(secret), "v")  # the password of its index holds for it
    c.call("ACCESS_TAKE", u32(1) + var("a password"))
    assert c.call("PK_DECRYPT", by_index(1, 1) + var(secret), "v") == b"for the new pair"


def quorum():
    with Device(init=False, unattended=False) as d:
        refused("ARGUMENT", d.manage, "init", administrators=administrators("alice"), needed=2)
        refused("PASSPHRASE_WEAK", d.manage, "init", administrators=[{"name": "a", "passphrase": "too short"}, {"name": "b", "passphrase": "x" * 14}])
        assert d.manage("status")["state"] == "INITIAL"
        minutes = d.manage("init", administrators=administrators("alice", "bob", "carol", "dora"), needed=2)
        assert minutes["mode"] == "shares" and minutes["shares_of"] == 3 and not minutes["unattended"]
        tokens = tokens_of(minutes)
        c = d.client()
        key = c.key_new(label="kept")[0]
        made = encrypt(c, key)
        roles(d, tokens)
        generations(d, c, tokens)
        envelope(d, c, tokens)
        print("ok roles, generations, envelope", flush=True)

        d.restart(kill=True)
        c = d.client()
        assert c.hello()[5] == 3
        refused("DEVICE_LOCKED", c.call, "RANDOM", u32(16), "v")
        assert d.manage("status")["shares_needed"] == 2
        refused("PASSPHRASE", d.manage, "unlock", token=tokens["alice"], passphrase="not her passphrase")
        refused("DEVICE_SHARE", d.manage, "unlock", token=tokens["dora"], passphrase=PHRASES["dora"])
        assert d.manage("unlock", token=tokens["alice"], passphrase=PHRASES["alice"])["shares_missing"] == 1
        refused("EXISTS", d.manage, "unlock", token=tokens["alice"], passphrase=PHRASES["alice"])
        assert d.manage("unlock", token=tokens["carol"], passphrase=PHRASES["carol"])["state"] == "READY"
        assert decrypt(c, key, made) == b"a case"
        print("ok unlock", flush=True)

        with d.manager() as m:
            login(m, tokens, "alice")
            refused("DEVICE_QUORUM", m.manage, "backup.create", file="b1", tokens=carried(tokens, "alice"))
            backup = m.manage("backup.create", file="b1.fnbackup", administrators=[{"name": "alice"}, {"name": "carol"}], needed=2,
                              tokens=carried(tokens, "alice", "bob"))
            assert backup["keys"] >= 3 and backup["keys_left_out"] >= 2
            # Handed out and never confirmed: the old shares stay in force.
            m.manage("reshare.begin", tokens=carried(tokens, "bob", "carol"))
        d.restart(kill=True)
        assert d.manage("unlock", tokens=carried(tokens, "alice", "bob"))["state"] == "READY"
        with d.manager() as m:
            login(m, tokens, "alice")
            refused("DEVICE_STEP", m.manage, "reshare.commit")
            renewed = m.manage("reshare.begin", needed=2, tokens=carried(tokens, "bob", "carol"))
            assert m.manage("reshare.commit")["share_generation"] == 2
            fresh = {t["name"]: m.manage("token.put", token=tokens[t["name"]], share=t["share"])["token"] for t in renewed["tokens"] if t["holds_share"]}
            fresh["dora"] = tokens["dora"]
            for t in backup["tokens"]:
                fresh[t["name"]] = m.manage("token.put", token=fresh[t["name"]], share=t["share"])["token"]
        saved = os.path.join(d.home, "b1.fnbackup")
        shutil.copy(backup["file"], saved)
        c = d.client()
        assert decrypt(c, key, made) == b"a case"
        d.restart()
        refused("DEVICE_SHARE", d.manage, "unlock", tokens=carried(tokens, "alice", "bob"))
        assert d.manage("unlock", tokens=carried(fresh, "alice", "bob"))["state"] == "READY"
        c = d.client()
        assert decrypt(c, key, made) == b"a case"
        with d.manager() as m:
            login(m, fresh, "dora")
            m.manage("log.verify")
        print("ok reshare", flush=True)
        restore(d, saved, fresh, key, made)


def restore(d, saved, tokens, key, made):
    with Device(init=False) as other:
        os.mkdir(os.path.join(other.dir, "backup"))
        spoilt = bytearray(open(saved, "rb").read())
        spoilt[len(spoilt) // 2] ^= 1
        open(os.path.join(other.dir, "backup", "bad"), "wb").write(spoilt)
        shutil.copy(saved, os.path.join(other.dir, "backup", "good"))
        refused("CORRUPT", other.manage, "init", unattended=True, restore="bad", tokens=carried(tokens, "alice", "carol"))
        refused("DEVICE_QUORUM", other.manage, "init", unattended=True, restore="good", tokens=carried(tokens, "alice"))
        refused("ARGUMENT", other.manage, "init", unattended=True, restore="../good", tokens=carried(tokens, "alice"))
        assert other.manage("status")["state"] == "INITIAL"
        other.manage("init", unattended=True, restore="good", tokens=carried(tokens, "alice", "carol"))
        c = other.client()
        assert decrypt(c, key, made) == b"a case"
        assert c.call("KEY_PUBLIC", by_index(0), "Hv") == d.client().call("KEY_PUBLIC", by_index(0), "Hv")
        refused("KEY_INDEX", c.call, "KEY_PUBLIC", by_index(1, 0), "Hv")  # signing keys are not copied: key Table 1
        other.restart(kill=True)
        assert decrypt(other.client(), key, made) == b"a case"
    print("ok restore", flush=True)


def test_tenant():
    with Device(clients=[{"uid": os.geteuid(), "tenant": "lab", "application": "bench", "test": True}]) as d:
        c = d.client()
        assert d.manage("status")["test_tenants"] is True and json.loads(c.call("STATUS", b"", "v"))["test_tenants"] is True
        key = bytes.fromhex("0123456789abcdeffedcba9876543210")
        handle = c.call("SESSION_KEY_CLEAR_IN", var(key), "Q")
        assert c.call("ENCRYPT", by_handle(handle) + u32(ECB) + var(b"") + var(key), "vv")[1].hex() == "681edf34d206965e86b3e94f536e4246"
        d.manage("kek.create", index=1, tenant="lab")
        wrapped = c.call("SESSION_KEY_KEK", by_index(1, 2) + u32(128) + u32(ECB), "vQ")[0]
        uuid = c.call("KEY_IMPORT_WRAPPED", u16(EXTERNAL) + u16(SM4) + u32(ENC_USE | DEC_USE) + var("imported") + by_index(1, 2) + u32(ECB) +
                      var(wrapped), "UW")[0]
        h = c.call("SESSION_KEY_KEK_IN", by_index(1, 2) + u32(ECB) + var(wrapped), "Q")
        assert c.call("ENCRYPT", by_uuid(uuid) + u32(ECB) + var(b"") + var(key), "vv") == c.call("ENCRYPT", by_handle(h) + u32(ECB) + var(b"") + var(key), "vv")
        refused("KEY_POLICY", c.call, "KEY_IMPORT_WRAPPED", u16(DATA_ENC) + u16(SM4) + u32(ENC_USE) + var("") + by_index(1, 2) + u32(ECB) + var(wrapped), "UW")
        assert any(k["label"] == "imported" for k in d.manage("key.list", tenant="lab")["keys"])
        assert {k["tenant"] for k in d.manage("key.list")["keys"]} == {"", "lab"} and d.manage("key.list", tenant="none")["keys"] == []
        refused("STATE", d.manage, "client.add", uid=4711, tenant="lab", application="x", test=False)
    print("ok test tenant", flush=True)


test_tenant()
quorum()
