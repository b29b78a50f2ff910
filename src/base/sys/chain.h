/* A chained log file: frames that each carry a MAC over themselves and the MAC before, so that an edited,
 * inserted or removed record in the middle shows; a cut tail shows against an anchor that the caller keeps.
 *
 * frame = len u32 ‖ ver u8 = 1 ‖ seq u64 ‖ time_ms u64 ‖ body ‖ MAC[32], numbers big-endian, len of the body,
 * seq from 1; MAC_i = HMAC-SM3(K, ver ‖ seq ‖ time_ms ‖ len ‖ MAC_{i-1} ‖ body), MAC_0 = 32 zero bytes. Who
 * computes the HMAC is the caller's. */
#ifndef FN_BASE_SYS_CHAIN_H
#define FN_BASE_SYS_CHAIN_H

#include "base/core/bytes.h"

#define FN_CHAIN_BODY_MOST 65536u

struct fn_chain_mac {
    void *self;
    fn_err (*mac)(void *self, struct fn_bytes message, uint8_t mac[32]);
};

struct fn_chain_end {
    uint64_t seq; /* of the last record, 0: none */
    uint64_t time_ms;
    uint8_t mac[32];
};

struct fn_chain;
/* Opens for appending, made when absent (0600), locked against other writers (waits up to five seconds;
 * FN_E_LOCKED). An incomplete frame at the end, left by a crash in mid-write, is cut off: *torn bytes.
 * FN_E_CORRUPT when the frames do not parse. */
fn_err fn_chain_open(struct fn_chain **chain, const char *path, const struct fn_chain_mac *mac,
                     uint64_t *torn);
void fn_chain_close(struct fn_chain *chain);
const struct fn_chain_end *fn_chain_end(const struct fn_chain *chain);
/* Durable on return. */
fn_err fn_chain_append(struct fn_chain *chain, uint64_t time_ms, struct fn_bytes body);

struct fn_chain_record {
    uint64_t seq, time_ms;
    struct fn_bytes body;
    uint8_t mac[32];
};
/* Reads and checks all records; `each` may be NULL, its failure stops. FN_E_CORRUPT names the first bad
 * record and whether it was edited or is missing; FN_E_TRUNCATED an incomplete last frame. An absent file has
 * no records. */
fn_err fn_chain_read(const char *path, const struct fn_chain_mac *mac,
                     fn_err (*each)(void *context, const struct fn_chain_record *r), void *context,
                     struct fn_chain_end *end);

#endif
