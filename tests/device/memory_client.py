"""An application that uses keys through libsdf.so and stays: it is given ciphertexts alone. On standard input a JSON line
{"library", "index", "password", "envelopes": {name: hex of an ECCCipher}, "secret": hex of an ECCCipher}; answers a JSON line when
everything was used, and again after each further line until the input ends."""
import ctypes
import json
import sys

SGD_SM4_ECB, SGD_SM4_CBC, SGD_SM3_HMAC, SGD_SM2_1, SGD_SM2_3 = 0x401, 0x402, 0x8, 0x20200, 0x20800
order = json.loads(sys.stdin.readline())
sdf = ctypes.CDLL(order["library"])


def call(name, *arguments):
    code = getattr(sdf, name)(*arguments)
    if code:
        raise RuntimeError("%s: %#x" % (name, code & 0xffffffff))


def number(n=0): return ctypes.c_uint(n)


device, session = ctypes.c_void_p(), ctypes.c_void_p()
call("SDF_OpenDevice", ctypes.byref(device))
call("SDF_OpenSession", device, ctypes.byref(session))
password = order["password"].encode()
call("SDF_GetPrivateKeyAccessRight", session, order["index"], password, len(password))
handles = {}
for name, envelope in order["envelopes"].items():
    handles[name] = ctypes.c_void_p()
    call("SDF_ImportKeyWithISK_ECC", session, order["index"], ctypes.create_string_buffer(bytes.fromhex(envelope)),
         ctypes.byref(handles[name]))


def work():
    data, out, iv = ctypes.create_string_buffer(b"m" * 4096, 4096), ctypes.create_string_buffer(8192), ctypes.create_string_buffer(16)
    room = number(8192)
    call("SDF_Encrypt", session, handles["sm4"], SGD_SM4_CBC, iv, data, 4096, out, ctypes.byref(room))
    mac, size = ctypes.create_string_buffer(64), number(64)
    call("SDF_HMACInit", session, handles["hmac"], SGD_SM3_HMAC)
    call("SDF_HMACUpdate", session, data, 4096)
    call("SDF_HMACFinal", session, mac, ctypes.byref(size))
    signature = ctypes.create_string_buffer(128)
    call("SDF_InternalSign_ECC", session, order["index"], data, 32, signature)
    clear, n = ctypes.create_string_buffer(256), number(256)
    call("SDF_InternalDecrypt_ECC", session, order["index"], SGD_SM2_3, ctypes.create_string_buffer(bytes.fromhex(order["secret"])),
         clear, ctypes.byref(n))
    block = ctypes.create_string_buffer(16)
    length = number(16)
    call("SDF_Encrypt", session, handles["sm4"], SGD_SM4_ECB, None, ctypes.create_string_buffer(bytes(range(16)), 16), 16, block,
         ctypes.byref(length))
    print(json.dumps({"block": block.raw.hex(), "mac": mac.raw[:size.value].hex(), "clear": clear.raw[:n.value].hex(),
                      "signature": signature.raw.hex()}), flush=True)


work()
for _ in sys.stdin:
    work()
