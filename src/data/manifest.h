/* The manifest of a protected table (docs/formats/manifest.md): what rows there are, in segments of 256
 * sequence numbers. Pure: records and arithmetic, no database, no device.
 *
 * A row identifier is writer << 40 | sequence, sequence from 1. Each writer has a manifest of its own. A
 * segment has a bitmap of the rows that live, and the sum modulo 2^256 of their row MACs. The head is a
 * digest over all segments and a counter of commits; it carries a MAC and the digest of the head before it.
 */
#ifndef FN_DATA_MANIFEST_H
#define FN_DATA_MANIFEST_H

#include "base/core/bytes.h"
#include "base/core/text.h"

#define FN_SEGMENT_ROWS   256u
#define FN_SEQUENCE_BITS  40
#define FN_SEQUENCE_MOST  ((1ull << FN_SEQUENCE_BITS) - 1)
#define FN_WRITER_MOST    0x7fffffu
#define FN_GROUP_SEGMENTS 256u

static inline uint64_t fn_row_id(uint32_t writer, uint64_t sequence)
{
    return (uint64_t)writer << FN_SEQUENCE_BITS | sequence;
}
static inline uint32_t fn_row_writer(uint64_t row)
{
    return (uint32_t)(row >> FN_SEQUENCE_BITS);
}
static inline uint64_t fn_row_sequence(uint64_t row)
{
    return row & FN_SEQUENCE_MOST;
}
static inline size_t fn_row_segment(uint64_t row)
{
    return (size_t)((fn_row_sequence(row) - 1) / FN_SEGMENT_ROWS);
}
static inline unsigned fn_row_slot(uint64_t row)
{
    return (unsigned)((fn_row_sequence(row) - 1) % FN_SEGMENT_ROWS);
}

struct fn_segment {
    uint32_t live;
    uint8_t bitmap[32]; /* slot s: bit s % 8 of byte s / 8 */
    uint8_t sum[32];    /* big-endian */
};
static inline bool fn_segment_has(const struct fn_segment *s, unsigned slot)
{
    return s->bitmap[slot / 8] >> slot % 8 & 1;
}

/* sum ± mac modulo 2^256. */
void fn_sum_add(uint8_t sum[32], const uint8_t mac[32]);
void fn_sum_subtract(uint8_t sum[32], const uint8_t mac[32]);
/* FN_E_CORRUPT when the row is there already, or is not. */
fn_err fn_segment_insert(struct fn_segment *s, unsigned slot, const uint8_t mac[32]);
fn_err fn_segment_delete(struct fn_segment *s, unsigned slot, const uint8_t mac[32]);

struct fn_manifest {
    struct fn_uuid table;
    uint32_t writer;
    uint64_t counter; /* commits; 0: nothing loaded */
    uint64_t next;    /* sequence number of the next row */
    uint64_t live;
    struct fn_segment *segments;
    size_t count, room;
    uint8_t (*groups)[32]; /* digests of 256 segments each */
    size_t group_room;
    uint8_t *stale; /* groups whose digest has to be made again */
    size_t stale_room;
    uint8_t head_digest[32]; /* of the current head */
};

void fn_manifest_free(struct fn_manifest *m);
/* An empty manifest before its first commit. */
void fn_manifest_start(struct fn_manifest *m, const struct fn_uuid *table, uint32_t writer);
/* Segment of a row; made (with those before it) when the row is the next one. FN_E_NOT_FOUND for rows never
 * issued. */
fn_err fn_manifest_segment(struct fn_manifest *m, uint64_t sequence, struct fn_segment **segment);
/* Rows coming and going; `next` moves on insertion of `next` itself, other insertions are refused. */
fn_err fn_manifest_insert(struct fn_manifest *m, uint64_t sequence, const uint8_t mac[32]);
fn_err fn_manifest_replace(struct fn_manifest *m, uint64_t sequence, const uint8_t old_mac[32],
                           const uint8_t new_mac[32]);
fn_err fn_manifest_delete(struct fn_manifest *m, uint64_t sequence, const uint8_t mac[32]);
/* SM3 over the digests of all groups, each SM3 over its segments: u32 live ‖ bitmap ‖ sum. */
void fn_manifest_digest(struct fn_manifest *m, uint8_t digest[32]);

/* The record that is MACed, kept and anchored. */
struct fn_head {
    struct fn_uuid table;
    uint32_t writer;
    uint64_t counter, next, live;
    uint8_t digest[32];   /* fn_manifest_digest */
    uint8_t previous[32]; /* fn_head_digest of the head with counter - 1; zero for the first */
};
#define FN_HEAD_SIZE (18 + 16 + 4 + 8 + 8 + 8 + 32 + 32)
/* "fengni manifest 1" ‖ 00 ‖ the members in their order. */
void fn_head_write(uint8_t out[FN_HEAD_SIZE], const struct fn_head *h);
fn_err fn_head_read(struct fn_head *h, struct fn_bytes record);
/* SM3 of the record: what the anchor holds and the next head refers to. */
void fn_head_digest(const struct fn_head *h, uint8_t digest[32]);
/* The head that the manifest's next commit has. */
void fn_manifest_next_head(struct fn_manifest *m, struct fn_head *h);
/* The manifest stands at that head from now on. */
void fn_manifest_committed(struct fn_manifest *m, const struct fn_head *h);

#endif
