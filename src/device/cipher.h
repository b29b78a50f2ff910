/* Cipher modes by SGD identifier, shared by one-shot and multi-part operations. */
#ifndef FN_DEVICE_CIPHER_H
#define FN_DEVICE_CIPHER_H

#include "device/device.h"
#include "device/sgd.h"

/* Whether start values of this key are made by the device and a caller's refused. */
bool fn_cipher_makes_nonce(const struct fn_key *key);
/* The start value of an encryption: given, or made. FN_E_KEY_NONCE, FN_E_ARGUMENT. */
fn_err fn_cipher_start(const struct fn_key *key, const struct fn_rng *rng, uint32_t alg,
                       struct fn_bytes given, uint8_t iv[16]);
/* One piece: `iv` in and out is the chaining value. Whole blocks for ECB and CBC. */
fn_err fn_key_cipher_run(const struct fn_key *key, uint32_t alg, bool encrypt, uint8_t iv[16], const uint8_t *in,
                     uint8_t *out, size_t n);

#endif
