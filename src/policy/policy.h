/* Key Tables 1 and 2 of the guideline as one pure table. The device asks it before every operation on a key. */
#ifndef FN_POLICY_POLICY_H
#define FN_POLICY_POLICY_H

#include "base/core/err.h"
#include <stdbool.h>
#include <stdint.h>

/* Classes of keys. Numbers are stored in key records and sealed blobs: never renumbered. */
enum fn_key_class {
    FN_CLASS_NET_ENC = 1,       /* 网络传输加密密钥 */
    FN_CLASS_APP_ENC = 2,       /* 应用传输加密密钥 */
    FN_CLASS_DATA_ENC = 3,      /* 数据存储加密密钥 */
    FN_CLASS_MAC = 4,           /* MAC 密钥 */
    FN_CLASS_USER_SIGN = 5,     /* 用户签名密钥对 */
    FN_CLASS_USER_ENC = 6,      /* 用户加密密钥对 */
    FN_CLASS_SRV_SIGN = 7,      /* 服务器签名密钥对 */
    FN_CLASS_SRV_ENC = 8,       /* 服务器加密密钥对 */
    /* Keys inside a cryptographic product, outside the guideline's tables (seed §3.5: the product's own policy). */
    FN_CLASS_DEVICE = 16,       /* 设备密钥对 */
    FN_CLASS_KEK = 17,          /* 密钥加密密钥 */
    FN_CLASS_INTERNAL = 18,     /* management, store, backup keys */
    FN_CLASS_EXTERNAL = 32,     /* only in tenants marked non-guideline or test */
};

enum fn_policy_operation {
    FN_POLICY_NONE, /* not an act on a secret key */
    FN_POLICY_GENERATE,
    FN_POLICY_DISTRIBUTE,
    FN_POLICY_STORE,
    FN_POLICY_USE,
    FN_POLICY_IMPORT,
    FN_POLICY_EXPORT,
    FN_POLICY_ARCHIVE,
    FN_POLICY_BACKUP,
    FN_POLICY_DESTROY,
};

/* KMIP states (kms.md §2.2). */
enum fn_key_state {
    FN_KEY_PRE_ACTIVE = 1,
    FN_KEY_ACTIVE = 2,
    FN_KEY_DEACTIVATED = 3,
    FN_KEY_COMPROMISED = 4,
    FN_KEY_STATE_DESTROYED = 5,
    FN_KEY_STATE_DESTROYED_COMPROMISED = 6,
};

/* Through which door the operation comes. */
enum fn_policy_door { FN_DOOR_APPLICATION, FN_DOOR_MANAGEMENT, FN_DOOR_BACKUP, FN_DOOR_TEST_TENANT };

/* FN_OK, or FN_E_KEY_POLICY / FN_E_KEY_STATE naming class, operation, and the table cell. `protects` is true for operations
 * that make new protection (encrypt, sign, MAC, wrap), false for those that process what exists (decrypt, verify, unwrap). */
fn_err fn_policy_ask(enum fn_key_class key_class, enum fn_policy_operation operation, enum fn_key_state state,
                     enum fn_policy_door door, bool protects);
/* The cell as the guideline's table names it, e.g. "NO", "IN_DEV", "DEV_NATIVE"; for printing. */
const char *fn_policy_cell(enum fn_key_class key_class, enum fn_policy_operation operation);

#endif
