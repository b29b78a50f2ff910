/* Multi-part calculations, key agreements and sealed blobs: what sessions hold beside keys. */
#ifndef FN_DEVICE_PART_H
#define FN_DEVICE_PART_H

#include "device/device.h"

void fn_multi_free(struct fn_multi *p); /* NULL allowed */
void fn_agreements_free(struct fn_session *s);
/* Whether there was one with this handle. */
bool fn_agreement_drop(struct fn_session *s, uint64_t handle);

/* Seals a key's record to this device, for storage elsewhere; opens it again. A blob of a destroyed key is
 * refused. */
fn_err fn_sealed_make(struct fn_device *d, const struct fn_rng *rng, const struct fn_key *key,
                      const struct fn_key *kek, struct fn_buf *out);
/* For what holds a key over several requests: FN_E_KEY_DESTROYED once its destruction is durable. */
fn_err fn_key_not_destroyed(struct fn_device *d, const struct fn_key *key);
fn_err fn_sealed_open(struct fn_device *d, const struct fn_identity *who, struct fn_bytes blob,
                      struct fn_key **key);

#endif
