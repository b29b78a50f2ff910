/* The format of a protected field, docs/formats/field.md: what is written once is read for ever.
 *
 *     0xF1 ‖ suite u8 ‖ key uuid[16] ‖ key version u32 ‖ nonce ‖ ciphertext ‖ tag
 *
 * suite 1 sm4-gcm:              nonce 12, ciphertext as long as the clear text, tag 16
 * suite 2 sm4-cbc+hmac-sm3:     nonce = MAC key version u32 ‖ IV 16, ciphertext padded (PKCS #7) to blocks,
 * tag 32
 *
 * Numbers are big-endian. The text form is base64url without padding. */
#ifndef FN_DATA_FIELD_H
#define FN_DATA_FIELD_H

#include "base/core/bytes.h"
#include "base/core/text.h"

#define FN_FIELD_MARK      0xF1
#define FN_FIELD_HEADER    22u
#define FN_FIELD_MOST      1000000u /* bytes of clear text */
#define FN_FIELD_GCM_NONCE 12u
#define FN_FIELD_GCM_TAG   16u
#define FN_FIELD_CBC_NONCE 20u
#define FN_FIELD_CBC_TAG   32u

enum fn_suite { FN_SUITE_NONE = 0, FN_SUITE_SM4_GCM = 1, FN_SUITE_SM4_CBC_HMAC = 2 };
enum fn_data_key_kind { FN_DATA_KEY_STORAGE, FN_DATA_KEY_MAC };

struct fn_field {
    enum fn_suite suite;
    struct fn_uuid key;
    uint32_t version;
    struct fn_bytes nonce, ciphertext, tag;
};

/* "sm4-gcm", "sm4-cbc+hmac-sm3"; FN_E_ARGUMENT. */
fn_err fn_suite_parse(enum fn_suite *suite, const char *name);
const char *fn_suite_name(enum fn_suite suite);

/* Appends the binary form. FN_E_ARGUMENT when a part has not the length of its suite. */
fn_err fn_field_write(struct fn_buf *out, const struct fn_field *field);
/* Strict: known suite, version >= 1, exact lengths. FN_E_FIELD. Views into the input. */
fn_err fn_field_read(struct fn_field *field, struct fn_bytes binary);
/* Appends the text form. */
fn_err fn_field_write_text(struct fn_buf *out, const struct fn_field *field);
/* The binary form is appended to `storage`, into which the views point: valid until it grows again. */
fn_err fn_field_read_text(struct fn_field *field, struct fn_bytes text, struct fn_buf *storage);
/* Whether the text begins as a protected field does. */
bool fn_field_like(struct fn_bytes text);
/* Length of the text form of a field of n clear bytes. */
size_t fn_field_text_size(enum fn_suite suite, size_t n);

/* Appends the associated data: var table ‖ var column ‖ var row u64 ‖ var version u64, each var = u32 length
 * ‖ bytes. */
fn_err fn_field_aad(struct fn_buf *out, struct fn_bytes table, struct fn_bytes column, uint64_t row,
                    uint64_t version);

/* Suite 2, encrypt-then-MAC. Appends clear text and its padding; and the message of the MAC:
 * 0xF1 ‖ 02 ‖ key uuid ‖ key version ‖ var aad ‖ nonce (20) ‖ ciphertext. */
fn_err fn_field_pad(struct fn_buf *out, struct fn_bytes clear);
fn_err fn_field_unpad(struct fn_bytes padded, struct fn_bytes *clear);
fn_err fn_field_mac_message(struct fn_buf *out, const struct fn_uuid *key, uint32_t version,
                            struct fn_bytes aad, struct fn_bytes nonce, struct fn_bytes ciphertext);

#endif
