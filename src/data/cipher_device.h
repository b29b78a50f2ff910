/* The cipher interface over the client of the device: several requests of a few hundred items under way at
 * once; overload and a device that starts anew are waited out up to the patience. */
#ifndef FN_DATA_CIPHER_DEVICE_H
#define FN_DATA_CIPHER_DEVICE_H

#include "data/cipher.h"

/* Connects. socket NULL: as fn_client_open. patience_ms 0: 30,000. Free with cipher->close(cipher->self). */
fn_err fn_cipher_device(struct fn_cipher *cipher, const char *socket, uint32_t patience_ms);

#endif
