#include "policy/policy.h"

#include "base/core/mem.h"

/* Key Tables 1 and 2, columns generate, distribute, store, use, import, export, archive, backup and restore,
 * destroy. Private halves of key pairs; public halves are certificates and are not asked about. */
#define COLUMNS 9

enum cell {
    NO,
    HANDSHAKE,
    IN_DEV,
    IN_TOKEN,
    BY_CA,
    ASYM_WRAP,
    CA_OFFLINE,
    DEV_VOLATILE,
    DEV,
    TOKEN,
    SIGNKEY_WRAP,
    DEV_NATIVE,
    ON_DISCONNECT,
    AFTER_USE,
    PRODUCT, /* inside a product: its own policy (guideline 3.5, last rule) */
    ANY,     /* outside the guideline: test tenants only */
};

static const char *const cell_names[] = {
    [NO] = "NO",
    [HANDSHAKE] = "HANDSHAKE",
    [IN_DEV] = "IN_DEV",
    [IN_TOKEN] = "IN_TOKEN",
    [BY_CA] = "BY_CA",
    [ASYM_WRAP] = "ASYM_WRAP",
    [CA_OFFLINE] = "CA_OFFLINE",
    [DEV_VOLATILE] = "DEV_VOLATILE",
    [DEV] = "DEV",
    [TOKEN] = "TOKEN",
    [SIGNKEY_WRAP] = "SIGNKEY_WRAP",
    [DEV_NATIVE] = "DEV_NATIVE",
    [ON_DISCONNECT] = "ON_DISCONNECT|ON_POWEROFF",
    [AFTER_USE] = "IN_DEV|AFTER_USE",
    [PRODUCT] = "PRODUCT",
    [ANY] = "TEST_TENANT",
};

static const struct row {
    enum fn_key_class key_class;
    const char *name;
    uint8_t cells[COLUMNS];
} rows[] = {
    {FN_CLASS_NET_ENC, "NET_ENC", {HANDSHAKE, NO, DEV_VOLATILE, IN_DEV, NO, NO, NO, NO, ON_DISCONNECT}},
    {FN_CLASS_APP_ENC, "APP_ENC", {IN_DEV, ASYM_WRAP, NO, IN_DEV, NO, NO, NO, NO, AFTER_USE}},
    {FN_CLASS_DATA_ENC, "DATA_ENC", {IN_DEV, NO, DEV, IN_DEV, NO, NO, NO, DEV_NATIVE, IN_DEV}},
    {FN_CLASS_MAC, "MAC", {IN_DEV, NO, DEV, IN_DEV, NO, NO, NO, DEV_NATIVE, IN_DEV}},
    {FN_CLASS_USER_SIGN, "USER_SIGN", {IN_TOKEN, NO, TOKEN, IN_TOKEN, NO, NO, NO, NO, IN_TOKEN}},
    {FN_CLASS_USER_ENC,
     "USER_ENC",
     {BY_CA, CA_OFFLINE, TOKEN, IN_TOKEN, SIGNKEY_WRAP, NO, BY_CA, BY_CA, IN_TOKEN}},
    {FN_CLASS_SRV_SIGN, "SRV_SIGN", {IN_DEV, NO, DEV, IN_DEV, NO, NO, NO, NO, IN_DEV}},
    {FN_CLASS_SRV_ENC, "SRV_ENC", {BY_CA, CA_OFFLINE, DEV, IN_DEV, SIGNKEY_WRAP, NO, BY_CA, BY_CA, IN_DEV}},
    {FN_CLASS_DEVICE, "DEVICE", {PRODUCT, PRODUCT, PRODUCT, PRODUCT, SIGNKEY_WRAP, NO, NO, DEV_NATIVE, PRODUCT}},
    {FN_CLASS_KEK, "KEK", {PRODUCT, NO, PRODUCT, PRODUCT, NO, NO, NO, DEV_NATIVE, PRODUCT}},
    {FN_CLASS_INTERNAL, "INTERNAL", {PRODUCT, NO, PRODUCT, PRODUCT, NO, NO, NO, DEV_NATIVE, PRODUCT}},
    {FN_CLASS_EXTERNAL, "EXTERNAL", {ANY, ANY, ANY, ANY, ANY, ANY, ANY, ANY, ANY}},
};

static const char *const operation_names[] = {"none",   "generate", "distribute", "store",  "use",
                                              "import", "export",   "archive",    "backup", "destroy"};

static const struct row *row_of(enum fn_key_class key_class)
{
    for (size_t i = 0; i < FN_COUNT(rows); i++)
        if (rows[i].key_class == key_class) return &rows[i];
    return NULL;
}

const char *fn_policy_cell(enum fn_key_class key_class, enum fn_policy_operation operation)
{
    const struct row *row = row_of(key_class);
    if (!row || operation <= FN_POLICY_NONE || operation > FN_POLICY_DESTROY) return cell_names[NO];
    return cell_names[row->cells[operation - 1]];
}

/* Whether what a cell demands is met by a call that comes through this door into the device. What the cell
 * demands of the call itself (a wrapped output, an envelope under the signing key) is how the device's
 * operations are made. */
static bool met(enum cell cell, enum fn_policy_operation operation, enum fn_policy_door door)
{
    switch (cell) {
    case IN_DEV:
    case DEV:
    case ASYM_WRAP:
    case ON_DISCONNECT:
    case AFTER_USE:
        return true;
    case PRODUCT:
        return true;
    /* An encryption key pair comes from the CA's key management system, under the signing key of the same
     * index. */
    case SIGNKEY_WRAP:
        return door == FN_DOOR_MANAGEMENT;
    case DEV_NATIVE:
        return door == FN_DOOR_BACKUP;
    case ANY:
        return door == FN_DOOR_TEST_TENANT;
    /* Volatile keys are never asked to be stored; handshakes make them without a call of their own. */
    case HANDSHAKE:
    case DEV_VOLATILE:
        return operation == FN_POLICY_USE;
    case NO:
    case IN_TOKEN:
    case TOKEN:
    case BY_CA:
    case CA_OFFLINE:
        return false;
    }
    return false;
}

/* KMIP 2.1 4.57: what each state allows. */
static bool state_allows(enum fn_key_state state, enum fn_policy_operation operation, bool protects)
{
    switch (state) {
    case FN_KEY_ACTIVE:
        return true;
    case FN_KEY_PRE_ACTIVE:
        return operation == FN_POLICY_GENERATE || operation == FN_POLICY_STORE ||
               operation == FN_POLICY_IMPORT || operation == FN_POLICY_BACKUP ||
               operation == FN_POLICY_DESTROY;
    case FN_KEY_DEACTIVATED:
    case FN_KEY_COMPROMISED:
        return operation == FN_POLICY_DESTROY || operation == FN_POLICY_BACKUP ||
               operation == FN_POLICY_STORE || (operation == FN_POLICY_USE && !protects);
    case FN_KEY_STATE_DESTROYED:
    case FN_KEY_STATE_DESTROYED_COMPROMISED:
        return false;
    }
    return false;
}

fn_err fn_policy_ask(enum fn_key_class key_class, enum fn_policy_operation operation, enum fn_key_state state,
                     enum fn_policy_door door, bool protects)
{
    if (operation == FN_POLICY_NONE) return FN_OK;
    const struct row *row = row_of(key_class);
    if (!row || operation > FN_POLICY_DESTROY)
        return FN_FAIL(FN_E_KEY_POLICY, "class %d operation %d is not in the key tables", (int)key_class,
                       (int)operation);
    enum cell cell = (enum cell)row->cells[operation - 1];
    if (!met(cell, operation, door))
        return FN_FAIL(FN_E_KEY_POLICY, "%s, %s: %s", row->name, operation_names[operation],
                       cell_names[cell]);
    if (!state_allows(state, operation, protects))
        return FN_FAIL(FN_E_KEY_STATE, "%s, %s: not in state %d", row->name, operation_names[operation],
                       (int)state);
    return FN_OK;
}
