#include "data/manifest.h"

#include "base/sys/heap.h"
#include "crypto/sm3/sm3.h"
#include <string.h>

#define HEAD_MARK      "fengni manifest 1"
#define SEGMENT_RECORD (4 + 32 + 32)

void fn_sum_add(uint8_t sum[32], const uint8_t mac[32])
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        carry += (unsigned)sum[i] + mac[i];
        sum[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

void fn_sum_subtract(uint8_t sum[32], const uint8_t mac[32])
{
    unsigned borrow = 0;
    for (int i = 31; i >= 0; i--) {
        unsigned v = (unsigned)sum[i] - mac[i] - borrow;
        sum[i] = (uint8_t)v;
        borrow = v >> 8 & 1;
    }
}

fn_err fn_segment_insert(struct fn_segment *s, unsigned slot, const uint8_t mac[32])
{
    if (fn_segment_has(s, slot)) return FN_FAIL(FN_E_CORRUPT, "slot %u of the segment is taken", slot);
    s->bitmap[slot / 8] |= (uint8_t)(1u << slot % 8);
    s->live++;
    fn_sum_add(s->sum, mac);
    return FN_OK;
}

fn_err fn_segment_delete(struct fn_segment *s, unsigned slot, const uint8_t mac[32])
{
    if (!fn_segment_has(s, slot)) return FN_FAIL(FN_E_ROW_INSERTED, "slot %u of the segment is empty", slot);
    s->bitmap[slot / 8] &= (uint8_t) ~(1u << slot % 8);
    s->live--;
    fn_sum_subtract(s->sum, mac);
    return FN_OK;
}

void fn_manifest_free(struct fn_manifest *m)
{
    free(m->segments);
    free(m->groups);
    free(m->stale);
    memset(m, 0, sizeof *m);
}

void fn_manifest_start(struct fn_manifest *m, const struct fn_uuid *table, uint32_t writer)
{
    memset(m, 0, sizeof *m);
    m->table = *table;
    m->writer = writer;
    m->next = 1;
}

static fn_err make_segments(struct fn_manifest *m, size_t count)
{
    size_t groups = (count + FN_GROUP_SEGMENTS - 1) / FN_GROUP_SEGMENTS;
    FN_TRY(fn_heap_grow(&m->segments, &m->room, count, sizeof *m->segments));
    FN_TRY(fn_heap_grow(&m->groups, &m->group_room, groups, sizeof *m->groups));
    FN_TRY(fn_heap_grow(&m->stale, &m->stale_room, groups, 1));
    for (; m->count < count; m->count++) m->stale[m->count / FN_GROUP_SEGMENTS] = 1;
    return FN_OK;
}

fn_err fn_manifest_segment(struct fn_manifest *m, uint64_t sequence, struct fn_segment **segment)
{
    if (!sequence || sequence > m->next || sequence > FN_SEQUENCE_MOST)
        return FN_FAIL(FN_E_NOT_FOUND, "row %llu, the next is %llu", (unsigned long long)sequence,
                       (unsigned long long)m->next);
    size_t at = fn_row_segment(sequence);
    if (at >= m->count) FN_TRY(make_segments(m, at + 1));
    m->stale[at / FN_GROUP_SEGMENTS] = 1;
    *segment = &m->segments[at];
    return FN_OK;
}

fn_err fn_manifest_insert(struct fn_manifest *m, uint64_t sequence, const uint8_t mac[32])
{
    struct fn_segment *s;
    if (sequence != m->next)
        return FN_FAIL(FN_E_ARGUMENT, "row %llu is not the next", (unsigned long long)sequence);
    FN_TRY(fn_manifest_segment(m, sequence, &s));
    FN_TRY(fn_segment_insert(s, fn_row_slot(sequence), mac));
    m->next++;
    m->live++;
    return FN_OK;
}

fn_err fn_manifest_replace(struct fn_manifest *m, uint64_t sequence, const uint8_t old_mac[32],
                           const uint8_t new_mac[32])
{
    struct fn_segment *s;
    FN_TRY(fn_manifest_segment(m, sequence, &s));
    FN_TRY(fn_segment_delete(s, fn_row_slot(sequence), old_mac));
    return fn_segment_insert(s, fn_row_slot(sequence), new_mac);
}

fn_err fn_manifest_delete(struct fn_manifest *m, uint64_t sequence, const uint8_t mac[32])
{
    struct fn_segment *s;
    FN_TRY(fn_manifest_segment(m, sequence, &s));
    FN_TRY(fn_segment_delete(s, fn_row_slot(sequence), mac));
    m->live--;
    return FN_OK;
}

static void digest_group(struct fn_manifest *m, size_t group)
{
    struct fn_sm3 h;
    uint8_t record[SEGMENT_RECORD];
    size_t first = group * FN_GROUP_SEGMENTS, end = first + FN_GROUP_SEGMENTS;
    fn_sm3_init(&h);
    for (size_t i = first; i < end && i < m->count; i++) {
        fn_put_be32(record, m->segments[i].live);
        memcpy(record + 4, m->segments[i].bitmap, 32);
        memcpy(record + 36, m->segments[i].sum, 32);
        fn_sm3_update(&h, record, sizeof record);
    }
    fn_sm3_final(&h, m->groups[group]);
    m->stale[group] = 0;
}

void fn_manifest_digest(struct fn_manifest *m, uint8_t digest[32])
{
    size_t groups = (m->count + FN_GROUP_SEGMENTS - 1) / FN_GROUP_SEGMENTS;
    for (size_t i = 0; i < groups; i++)
        if (m->stale[i]) digest_group(m, i);
    fn_sm3_digest(m->groups, groups * 32, digest);
}

void fn_head_write(uint8_t out[FN_HEAD_SIZE], const struct fn_head *h)
{
    memcpy(out, HEAD_MARK, 18); /* with its NUL */
    memcpy(out + 18, h->table.b, 16);
    fn_put_be32(out + 34, h->writer);
    fn_put_be64(out + 38, h->counter);
    fn_put_be64(out + 46, h->next);
    fn_put_be64(out + 54, h->live);
    memcpy(out + 62, h->digest, 32);
    memcpy(out + 94, h->previous, 32);
}

fn_err fn_head_read(struct fn_head *h, struct fn_bytes record)
{
    if (record.n != FN_HEAD_SIZE || memcmp(record.p, HEAD_MARK, 18))
        return FN_FAIL(FN_E_CORRUPT, "not a manifest head (%zu bytes)", record.n);
    memcpy(h->table.b, record.p + 18, 16);
    h->writer = fn_get_be32(record.p + 34);
    h->counter = fn_get_be64(record.p + 38);
    h->next = fn_get_be64(record.p + 46);
    h->live = fn_get_be64(record.p + 54);
    memcpy(h->digest, record.p + 62, 32);
    memcpy(h->previous, record.p + 94, 32);
    if (h->next < 1 || h->next > FN_SEQUENCE_MOST + 1 || h->live >= h->next)
        return FN_FAIL(FN_E_CORRUPT, "manifest head %llu is impossible", (unsigned long long)h->counter);
    return FN_OK;
}

void fn_head_digest(const struct fn_head *h, uint8_t digest[32])
{
    uint8_t record[FN_HEAD_SIZE];
    fn_head_write(record, h);
    fn_sm3_digest(record, sizeof record, digest);
}

void fn_manifest_next_head(struct fn_manifest *m, struct fn_head *h)
{
    *h = (struct fn_head){
        .table = m->table, .writer = m->writer, .counter = m->counter + 1, .next = m->next, .live = m->live};
    fn_manifest_digest(m, h->digest);
    memcpy(h->previous, m->head_digest, 32);
}

void fn_manifest_committed(struct fn_manifest *m, const struct fn_head *h)
{
    m->counter = h->counter;
    fn_head_digest(h, m->head_digest);
}
