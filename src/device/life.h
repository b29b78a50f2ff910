/* Between initialisation, shares and the rest of the device. */
#ifndef FN_DEVICE_LIFE_H
#define FN_DEVICE_LIFE_H

#include "device/device.h"

enum { FN_LIFE_UNATTENDED = 1, FN_LIFE_SHARES = 2 };

/* DIR/root.wrapped: written last when a device is initialised; its presence means that it was. */
struct fn_life_head {
    uint8_t mode;
    char serial[17];
    struct fn_sm2_public device;                       /* the device's signing key */
    struct fn_uuid line;                               /* of the sets of shares that replace one another */
    uint8_t m, n;                                      /* of the shares in force */
    uint32_t generation;                               /* of the shares: older ones are refused */
    uint8_t check[32];                                 /* of the root */
    uint8_t salt[16], nonce[12], tag[16], wrapped[32]; /* mode UNATTENDED */
    uint8_t next_m, next_n; /* of shares handed out and not yet in force; next_m 0: none */
};

void fn_path(const struct fn_device *d, const char *name, char *out, size_t size);
/* FN_E_NOT_FOUND: not initialised. */
fn_err fn_life_head_read(struct fn_device *d, struct fn_life_head *h);
/* Fills in the check and, in mode UNATTENDED, the wrapped root; durable on return. */
fn_err fn_life_head_store(struct fn_device *d, struct fn_life_head *h, const uint8_t root[32]);
void fn_root_check(const uint8_t root[32], const char *serial, uint8_t out[32]);
/* Makes root, store and device pair, and opens all that stands on them. The caller ends it with
 * fn_life_head_store, or with fn_life_abandon. */
fn_err fn_life_begin(struct fn_device *d, struct fn_life_head *head, uint8_t root[32]);
/* The store under a new root; crash-safe. */
fn_err fn_life_rekey(struct fn_device *d, const uint8_t root[32]);
/* The same with records that `fill` puts into the new store instead of a new pair (restore). */
fn_err fn_life_begin_with(struct fn_device *d, struct fn_life_head *head, uint8_t root[32],
                          fn_err (*fill)(struct fn_device *d, void *context), void *context);
void fn_life_abandon(struct fn_device *d);
fn_err fn_life_open_store(struct fn_device *d, const uint8_t root[32], bool create);
fn_err fn_life_stand(struct fn_device *d);
fn_err fn_life_pair_make(struct fn_device *d, struct fn_pending *p, uint8_t half);
void fn_life_lock(struct fn_device *d);

#endif
