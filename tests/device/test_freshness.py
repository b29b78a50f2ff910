"""An older copy of the store put back: found by the log, by the signed generation, by shares, by statements kept elsewhere."""
import shutil

from device_client import *


def files(d):
    return {"store": os.path.join(d.dir, "store"), "log": os.path.join(d.dir, "log"), "generation": os.path.join(d.dir, "generation")}


def save(d, to):
    for name, path in files(d).items():
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(to, name))
        elif os.path.exists(path):
            shutil.copy(path, os.path.join(to, name))


def put_back(d, saved, *names):
    for name in names:
        path = files(d)[name]
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
        source = os.path.join(saved, name)
        if os.path.isdir(source):
            shutil.copytree(source, path)
        elif os.path.exists(source):
            shutil.copy(source, path)


def in_exception(d):
    status = d.manage("status")
    assert status["state"] == "EXCEPTION" and "older" in status["self_test"]["detail"] + d.errors(), status
    refused("DEVICE_EXCEPTION", d.client().call, "RANDOM", u32(16), "v")


def encrypts(d, key):
    return d.client().call("AEAD_ENCRYPT", by_uuid(key) + u32(GCM) + var(b"") + var(b"") + var(b"m"), "vvvW")


def destroy(d, key):
    statement, signature = d.client().call("KEY_DESTROY", key + u32(0), "vv")
    return dict(statement=statement.decode(), signature=signature.hex())


def history(d, saved, newest):
    """A device with a key; its files then (saved); the key destroyed, and the files after that (newest)."""
    key = d.client().key_new(label="doomed")[0]
    encrypts(d, key)
    d.client().call("ANCHOR_SET", var("head") + u64(0) + u64(1) + bytes(32), "v")
    d.stop()
    save(d, saved)
    d.start()
    told = destroy(d, key)
    receipt = d.client().call("ANCHOR_SET", var("head") + u64(1) + u64(2) + b"\1" * 32, "v")
    anchor = dict(anchor=dict(name="head", owner="default", counter=2, digest="01" * 32), signature=receipt.hex())
    known = d.manage("statement.check", **told)
    assert known["known"] and known["generation"] >= json.loads(told["statement"])["generation"]
    assert d.manage("statement.check", **anchor)["known"]
    refused("SIGNATURE", d.manage, "statement.check", statement=told["statement"].replace("destroyed", "destroyeb"), signature=told["signature"])
    refused("SIGNATURE", d.manage, "statement.check", anchor=dict(anchor["anchor"], counter=3), signature=anchor["signature"])
    assert d.manage("status")["state"] == "READY"
    d.stop()
    save(d, newest)
    return key, told, anchor


def one(d, saved, newest):
    key, told, anchor = history(d, saved, newest)
    # The store alone: the log knows better, and so does the signed generation; each of them suffices. Trying
    # again does not help, and nothing is written to the wrong store.
    for names in (("store",), ("store", "log"), ("store", "generation")):
        put_back(d, newest, "store", "log", "generation")
        put_back(d, saved, *names)
        for _ in range(3):
            d.start()
            in_exception(d)
            refused("DEVICE_STORE_OLD", d.manage, "self_test")
            in_exception(d)
            d.stop()
        print("ok", names, flush=True)
    # The right store again: the operator's repair, without a restart.
    d.start()
    in_exception(d)
    put_back(d, newest, "store", "log", "generation")
    assert d.manage("self_test")["state"] == "READY"
    refused("KEY_DESTROYED", encrypts, d, key)
    assert d.manage("log.verify")["records"] > 3
    d.stop()
    # Everything put back: from inside nothing is wrong, which is the stated limit.
    put_back(d, saved, "store", "log", "generation")
    d.start()
    assert d.manage("status")["state"] == "READY"
    encrypts(d, key)
    # A statement kept elsewhere shows it, and a restart does not forget.
    refused("DEVICE_STORE_OLD", d.manage, "statement.check", **told)
    in_exception(d)
    refused("DEVICE_STORE_OLD", d.manage, "self_test")
    d.restart()
    in_exception(d)
    d.stop()
    put_back(d, newest, "store", "log", "generation")
    d.start()
    assert d.manage("status")["state"] == "READY" and not os.path.exists(os.path.join(d.dir, "refused"))
    refused("KEY_DESTROYED", encrypts, d, key)
    d.stop()
    # An anchor's receipt does the same.
    put_back(d, saved, "store", "log", "generation")
    d.start()
    refused("DEVICE_STORE_OLD", d.manage, "statement.check", **anchor)
    in_exception(d)
    d.stop()
    os.unlink(os.path.join(d.dir, "refused"))
    # A copy that went on by itself, past the statement's generation: what the statement says is not so there.
    put_back(d, saved, "store", "log", "generation")
    d.start()
    for i in range(40):
        d.client().call("ANCHOR_SET", var("other") + u64(i) + u64(i + 1) + bytes(32), "v")
    assert d.manage("status")["generation"] > json.loads(told["statement"])["generation"]
    refused("DEVICE_STORE_OLD", d.manage, "statement.check", **told)
    in_exception(d)
    d.stop()


def killed(d):
    """kill -9 leaves log, generation and store that agree."""
    for i in range(6):
        c = d.client()
        for j in range(30):
            c.call("ANCHOR_SET", var("killed") + u64(30 * i + j) + u64(30 * i + j + 1) + bytes(32), "v")
            if j % 10 == 0:
                c.key_new()
        d.restart(kill=True)
        assert d.manage("status")["state"] == "READY"


def shares():
    """Shares tell the generation of the store they were made at."""
    people = [{"name": n, "passphrase": "correct horse battery " + n} for n in ("alice", "bob")]
    with Device(init=False, unattended=False) as d:
        minutes = d.manage("init", administrators=people, needed=2)
        tokens = [{"token": t["token"], "passphrase": "correct horse battery " + t["name"]} for t in minutes["tokens"]]
        d.stop()
        saved = os.path.join(d.home, "saved")
        os.mkdir(saved)
        save(d, saved)
        d.start()
        assert d.manage("unlock", tokens=tokens)["state"] == "READY"
        for i in range(20):
            d.client().call("ANCHOR_SET", var("some") + u64(i) + u64(i + 1) + bytes(32), "v")
        d.stop()
        put_back(d, saved, "store")
        d.start()
        assert d.manage("status")["state"] == "LOCKED"
        refused("DEVICE_STORE_OLD", d.manage, "unlock", tokens=tokens)
        in_exception(d)
        assert d.manage("self_test")["state"] == "LOCKED"
        refused("DEVICE_STORE_OLD", d.manage, "unlock", tokens=tokens)
        d.stop()


with Device() as d:
    saved, newest = os.path.join(d.home, "saved"), os.path.join(d.home, "newest")
    os.mkdir(saved), os.mkdir(newest)
    one(d, saved, newest)
    print("ok one", flush=True)
    os.path.exists(os.path.join(d.dir, "refused")) and os.unlink(os.path.join(d.dir, "refused"))
    put_back(d, newest, "store", "log", "generation")
    d.start()
    killed(d)
    print("ok killed", flush=True)
shares()
print("ok shares")
