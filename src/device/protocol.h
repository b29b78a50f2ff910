/* The device protocol: frames, numbers and the one operation table. docs/protocol/device.md says the same in words, well
 * enough to write a client from.
 *
 * request  = u32 length ‖ u16 operation ‖ u16 count ‖ u32 session ‖ id[16] ‖ items
 * response = u32 length ‖ u16 operation ‖ u16 count ‖ u32 session ‖ id[16] ‖ u32 status ‖ u32 retry_ms ‖ items
 *
 * length counts the bytes after itself. All numbers are big-endian. A response of status 0 has one item for each item of
 * the request, each beginning with its own u32 status; results follow only where that is 0. A response of another status
 * has count 0 and one var: a detail for people in UTF-8. Statuses are the numbers of base/core/err_list.h. */
#ifndef FN_DEVICE_PROTOCOL_H
#define FN_DEVICE_PROTOCOL_H

#include "base/core/bytes.h"

#define FN_DEVICE_PROTOCOL_VERSION 1
#define FN_DEVICE_FRAME_MOST       (1u << 20) /* of `length` */
#define FN_DEVICE_RESPONSE_MOST    (2u << 20) /* of a response's `length`: items grow by tags, nonces and statuses */
#define FN_DEVICE_VECTOR_MOST      4096u
#define FN_DEVICE_OUTSTANDING_MOST 1024u /* requests without a response on one connection */
#define FN_DEVICE_REQUEST_HEADER   28u   /* with the length field */
#define FN_DEVICE_RESPONSE_HEADER  36u
#define FN_DEVICE_ID_SIZE          16u
#define FN_DEVICE_REMEMBER_MS      600000 /* how long the result of a state-changing request is kept for a repeat */

/* A key is named by a var: one kind byte and what that kind needs. */
enum fn_key_ref {
    FN_KEY_UUID = 1,     /* uuid[16] ‖ u32 version (0: current) */
    FN_KEY_INDEX = 2,    /* u32 index ‖ u8 half (enum fn_key_half); the standard's key indexes, aliases of uuids */
    FN_KEY_HANDLE = 3,   /* u64 handle of a session key; dies with its session */
    FN_KEY_SEALED = 4,   /* a blob sealed to this device (FN_OP_KEY_SEAL_NEW): the device's own storage kept elsewhere */
    FN_KEY_EXTERNAL = 5, /* u32 algorithm (FN_ALG_*) ‖ public key: SM2, P-256 x ‖ y; RSA u32 bits ‖ modulus ‖ exponent, equally long */
};
enum fn_key_half { FN_HALF_SIGN = 0, FN_HALF_ENCRYPT = 1, FN_HALF_KEK = 2, FN_HALF_SYMMETRIC = 3 };

/* Kinds of key. Algorithms within operations are the SGD identifiers of GB/T 33560 (include/gmt/sdf.h). */
enum fn_key_alg { FN_ALG_SM4 = 1, FN_ALG_HMAC_SM3 = 2, FN_ALG_SM2 = 3, FN_ALG_P256 = 4, FN_ALG_RSA2048 = 5, FN_ALG_RSA3072 = 6 };

/* Usage bits of a key record. */
enum {
    FN_USE_SIGN = 1 << 0,
    FN_USE_VERIFY = 1 << 1,
    FN_USE_ENCRYPT = 1 << 2,
    FN_USE_DECRYPT = 1 << 3,
    FN_USE_WRAP = 1 << 4,
    FN_USE_UNWRAP = 1 << 5,
    FN_USE_MAC = 1 << 6,
    FN_USE_AGREE = 1 << 7,
    FN_USE_DERIVE = 1 << 8,
};

/* Flags of an operation. */
enum {
    FN_OPF_CHANGES = 1 << 0,    /* changes durable state: remembered by request id, durable before the answer */
    FN_OPF_MANAGEMENT = 1 << 1, /* on the management socket only */
    FN_OPF_ANY_STATE = 1 << 2,  /* answered in every device state */
    FN_OPF_SINGLE = 1 << 3,     /* count must be 1 */
    FN_OPF_GATHER = 1 << 4,     /* items of all connections run together */
    FN_OPF_PROTECTS = 1 << 5,   /* makes new protection: active keys only, and counts as a use of the key */
    FN_OPF_PRIVATE = 1 << 6,    /* needs the access right where the key has a password */
};

/* Layout letters, in order: B u8, H u16, W u32, Q u64, U uuid[16], D 32 bytes, v var = u32 length ‖ bytes, k key reference
 * (a var). Column usage: the bit that the first key of the operation must have; policy: the column of key Tables 1 and 2
 * (enum fn_policy_operation in policy/policy.h) that is asked.
 *
 * FN_OP(number, NAME, request item, response item, usage, policy, flags) */
#define FN_DEVICE_OPERATIONS                                                                                 \
    /* connection and session */                                                                             \
    FN_OP(0x0001, HELLO, "W", "WWWWUWvv", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                         \
    FN_OP(0x0002, SESSION_OPEN, "", "W", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                          \
    FN_OP(0x0003, SESSION_CLOSE, "", "", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                          \
    FN_OP(0x0004, INFO, "", "v", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                                  \
    FN_OP(0x0005, STATUS, "", "v", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                                \
    FN_OP(0x0006, CAPABILITIES, "", "v", 0, NONE, FN_OPF_ANY_STATE | FN_OPF_SINGLE)                          \
    FN_OP(0x0010, RANDOM, "W", "v", 0, NONE, 0)                                                              \
    FN_OP(0x0011, ACCESS_TAKE, "Wv", "", 0, NONE, FN_OPF_SINGLE)                                             \
    FN_OP(0x0012, ACCESS_RELEASE, "W", "", 0, NONE, FN_OPF_SINGLE)                                           \
    /* keys: KEY_NEW class, algorithm, usage, label, extra applications (text, comma-separated) */           \
    FN_OP(0x0020, KEY_NEW, "HHWvv", "UWv", 0, GENERATE, FN_OPF_CHANGES | FN_OPF_SINGLE)                      \
    FN_OP(0x0021, KEY_ROTATE, "U", "Wv", 0, GENERATE, FN_OPF_CHANGES | FN_OPF_SINGLE)                        \
    FN_OP(0x0022, KEY_DESTROY, "UW", "vv", 0, DESTROY, FN_OPF_CHANGES | FN_OPF_SINGLE)                       \
    FN_OP(0x0023, KEY_INFO, "k", "v", 0, NONE, 0)                                                            \
    FN_OP(0x0024, KEY_LIST, "UW", "v", 0, NONE, FN_OPF_SINGLE)                                               \
    FN_OP(0x0025, KEY_PUBLIC, "k", "Hv", 0, NONE, 0)                                                         \
    FN_OP(0x0026, KEY_SEAL_NEW, "HHWk", "vv", 0, GENERATE, 0)                                                \
    FN_OP(0x0027, KEY_FIND, "v", "UW", 0, NONE, FN_OPF_SINGLE)                                               \
    FN_OP(0x0028, KEY_IMPORT_WRAPPED, "HHWvkWv", "UW", FN_USE_UNWRAP, IMPORT, FN_OPF_CHANGES | FN_OPF_SINGLE) \
    /* session keys; bits and algorithms as in GM/T 0018 6.3 */                                              \
    FN_OP(0x0030, SESSION_KEY_IPK, "kW", "vQ", FN_USE_WRAP, DISTRIBUTE, 0)                                   \
    FN_OP(0x0031, SESSION_KEY_EPK, "kW", "vQ", 0, DISTRIBUTE, 0)                                             \
    FN_OP(0x0032, SESSION_KEY_ISK, "kv", "Q", FN_USE_UNWRAP, USE, FN_OPF_PRIVATE)                            \
    FN_OP(0x0033, SESSION_KEY_KEK, "kWW", "vQ", FN_USE_WRAP, DISTRIBUTE, FN_OPF_PROTECTS)                    \
    FN_OP(0x0034, SESSION_KEY_KEK_IN, "kWv", "Q", FN_USE_UNWRAP, USE, 0)                                     \
    FN_OP(0x0035, SESSION_KEY_CLEAR_IN, "v", "Q", 0, IMPORT, 0)                                              \
    FN_OP(0x0036, SESSION_KEY_DESTROY, "Q", "", 0, DESTROY, 0)                                               \
    FN_OP(0x0037, AGREE_START, "kWv", "vvQ", FN_USE_AGREE, USE, FN_OPF_PRIVATE)                              \
    FN_OP(0x0038, AGREE_FINISH, "Qvvv", "Q", 0, USE, 0)                                                      \
    FN_OP(0x0039, AGREE_RESPOND, "kWvvvv", "vvQ", FN_USE_AGREE, USE, FN_OPF_PRIVATE)                         \
    FN_OP(0x003a, ENVELOPE_EXCHANGE, "kkv", "v", FN_USE_UNWRAP, DISTRIBUTE, FN_OPF_PRIVATE)                  \
    /* vectors of work */                                                                                    \
    FN_OP(0x0040, SIGN, "kD", "v", FN_USE_SIGN, USE, FN_OPF_GATHER | FN_OPF_PROTECTS | FN_OPF_PRIVATE)       \
    FN_OP(0x0041, VERIFY, "kDv", "", FN_USE_VERIFY, NONE, FN_OPF_GATHER)                                     \
    FN_OP(0x0042, PK_ENCRYPT, "kv", "v", FN_USE_ENCRYPT, NONE, FN_OPF_GATHER)                                \
    FN_OP(0x0043, PK_DECRYPT, "kv", "v", FN_USE_DECRYPT, USE, FN_OPF_GATHER | FN_OPF_PRIVATE)                \
    FN_OP(0x0044, RSA_PUBLIC, "kv", "v", 0, NONE, FN_OPF_GATHER)                                             \
    FN_OP(0x0045, RSA_PRIVATE, "kv", "v", FN_USE_SIGN, USE, FN_OPF_GATHER | FN_OPF_PROTECTS | FN_OPF_PRIVATE) \
    FN_OP(0x0046, ENCRYPT, "kWvv", "vv", FN_USE_ENCRYPT, USE, FN_OPF_GATHER | FN_OPF_PROTECTS)               \
    FN_OP(0x0047, DECRYPT, "kWvv", "vv", FN_USE_DECRYPT, USE, FN_OPF_GATHER)                                 \
    FN_OP(0x0048, MAC, "kWvv", "vv", FN_USE_MAC, USE, FN_OPF_GATHER | FN_OPF_PROTECTS)                       \
    FN_OP(0x0049, HASH, "Wv", "v", 0, NONE, FN_OPF_GATHER)                                                   \
    FN_OP(0x004a, AEAD_ENCRYPT, "kWvvv", "vvvW", FN_USE_ENCRYPT, USE, FN_OPF_GATHER | FN_OPF_PROTECTS)       \
    FN_OP(0x004b, AEAD_DECRYPT, "kWvvvv", "v", FN_USE_DECRYPT, USE, FN_OPF_GATHER)                           \
    /* multi-part: kind B (enum fn_multipart), key, algorithm, start value, aad, total length, tag */        \
    FN_OP(0x0050, PART_START, "BkWvvQv", "", 0, USE, FN_OPF_SINGLE)                                          \
    FN_OP(0x0051, PART_UPDATE, "Bv", "v", 0, NONE, FN_OPF_SINGLE)                                            \
    FN_OP(0x0052, PART_FINISH, "B", "vv", 0, NONE, FN_OPF_SINGLE)                                            \
    /* files (GM/T 0018 6.7) */                                                                              \
    FN_OP(0x0060, FILE_CREATE, "vW", "", 0, NONE, FN_OPF_CHANGES | FN_OPF_SINGLE)                            \
    FN_OP(0x0061, FILE_READ, "vWW", "v", 0, NONE, FN_OPF_SINGLE)                                             \
    FN_OP(0x0062, FILE_WRITE, "vWv", "", 0, NONE, FN_OPF_CHANGES | FN_OPF_SINGLE)                            \
    FN_OP(0x0063, FILE_DELETE, "v", "", 0, NONE, FN_OPF_CHANGES | FN_OPF_SINGLE)                             \
    /* anchors: name, counter expected (0: must be absent), counter new, digest; read: name, challenge */    \
    FN_OP(0x0070, ANCHOR_SET, "vQQD", "v", 0, NONE, FN_OPF_CHANGES | FN_OPF_SINGLE)                          \
    FN_OP(0x0071, ANCHOR_GET, "vD", "vQDv", 0, NONE, FN_OPF_SINGLE)                                          \
    FN_OP(0x0072, ANCHOR_LIST, "", "v", 0, NONE, FN_OPF_SINGLE)                                              \
    /* a sealed blob under the current generation of its KEK */                                              \
    FN_OP(0x0080, KEY_REWRAP, "v", "v", 0, NONE, 0)                                                          \
    /* 0x0081-0x00bf reserved: re-encrypt, derive, index, co-sign partial, channel derive, OTP */            \
    /* management socket: bodies are JSON objects in UTF-8, described verb by verb in docs/protocol/device.md */ \
    FN_OP(0x0100, MANAGE, "vv", "v", 0, NONE, FN_OPF_MANAGEMENT | FN_OPF_ANY_STATE | FN_OPF_SINGLE)

enum fn_device_operation {
#define FN_OP(number, name, request, response, usage, policy, flags) FN_OP_##name = (number),
    FN_DEVICE_OPERATIONS
#undef FN_OP
};

/* Kinds of multi-part calculation: a session has one context of each. */
enum fn_multipart { FN_PART_ENCRYPT, FN_PART_DECRYPT, FN_PART_MAC, FN_PART_HMAC, FN_PART_AEAD_ENCRYPT, FN_PART_AEAD_DECRYPT, FN_PART_KINDS };

/* Items in detail, where the letters do not say it:
 * HELLO        W client's version; → W version, W frame limit, W vector limit, W outstanding limit, U boot id (new at every start:
 *              handles of another boot are dead), W device state (enum fn_device_state), v tenant, v application.
 * INFO         → v: DEVICEINFO of GM/T 0018 as 100 bytes with big-endian numbers.
 * STATUS       → v: JSON. CAPABILITIES → v: JSON object, operation name → "native" | "emulated" | "no".
 * ACCESS_TAKE  W index, v password.
 * KEY_NEW      H class (enum fn_key_class), H algorithm, W usage, v label (UTF-8, unique within tenant; may be empty), v extra
 *              applications; → U uuid, W version (1), v public key (empty for symmetric keys).
 * KEY_DESTROY  U uuid, W version (0: all); → v statement (JSON, UTF-8), v signature by the device (r ‖ s over SM3(Z ‖ statement)).
 * KEY_LIST     U after (zero: from the start), W limit; → v JSON array. KEY_FIND v label → U uuid, W current version.
 * KEY_SEAL_NEW H class, H algorithm, W usage, k KEK; → v sealed blob, v public key.
 * KEY_IMPORT_WRAPPED H class, H algorithm, W usage, v label, k KEK, W SGD algorithm of the wrap, v wrapped key.
 * SESSION_KEY_IPK k key pair, W bits → v ciphertext, Q handle. Ciphertexts of SM2 here and in PK_ENCRYPT are C1x ‖ C1y ‖ C3 ‖ C2
 *              (96 + n bytes); of RSA one PKCS#1 v1.5 block.
 * AGREE_START  k key pair, W bits, v sponsor id → v own public, v ephemeral public, Q agreement handle.
 * AGREE_FINISH Q agreement, v responder id, v responder public, v responder ephemeral → Q session key.
 * AGREE_RESPOND k key pair, W bits, v responder id, v sponsor id, v sponsor public, v sponsor ephemeral
 *              → v own public, v ephemeral public, Q session key.
 * ENVELOPE_EXCHANGE k own key pair, k new recipient (external), v ciphertext → v ciphertext.
 * SIGN         k key, D e = SM3(Z ‖ M) (other algorithms: the 32-byte digest) → v signature: SM2, P-256 r ‖ s; RSA PKCS#1 v1.5 SHA-256.
 * ENCRYPT      k key, W SGD algorithm, v start value (16 bytes; empty for ECB; empty with a data-storage key: the device makes it),
 *              v data → v start value used when the device made it, otherwise the chaining value; v data.
 * MAC          k key, W SGD_SM3 | SGD_SM3_HMAC (start value empty) or SGD_SM4_MAC, v start value, v data → v chaining value, v MAC.
 * AEAD_ENCRYPT k key, W SGD_SM4_GCM | SGD_SM4_CCM, v nonce (empty: made by the device; of data-storage keys always), v aad, v data
 *              → v nonce, v data, v tag (16), W version of the key that was used.
 * AEAD_DECRYPT k, W, v nonce, v aad, v tag, v data → v data.
 * FILE_READ    v name, W offset, W length → v. FILE_WRITE v name, W offset, v data. FILE_CREATE v name, W size.
 * ANCHOR_SET   → v receipt signature over the same statement as ANCHOR_GET with a zero challenge.
 * ANCHOR_GET   → v owner, Q counter, D digest, v signature (r ‖ s by the device's signing key over SM3(Z ‖ statement), statement =
 *              "fengni anchor 1" ‖ 00 ‖ challenge[32] ‖ var name ‖ var owner ‖ u64 counter ‖ digest[32]).
 * MANAGE       v verb (text), v JSON → v JSON. */

enum fn_device_state { FN_DEVICE_INITIAL = 1, FN_DEVICE_READY = 2, FN_DEVICE_LOCKED = 3, FN_DEVICE_EXCEPTION = 4 };

struct fn_operation {
    uint16_t number;
    const char *name, *request, *response;
    uint32_t usage;
    int policy; /* enum fn_policy_operation */
    uint32_t flags;
};
/* NULL for an unknown number. */
const struct fn_operation *fn_operation(uint16_t number);
const struct fn_operation *fn_operation_at(size_t position);

#endif
