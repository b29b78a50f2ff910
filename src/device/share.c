#include "device/share.h"
#include "crypto/sm3/sm3.h"
#include "device/shamir.h"

#define VERSION   1u
#define SIGNATURE 64u

static const uint8_t share_magic[4] = {'F', 'N', 'S', 'H'}, sealed_magic[4] = {'F', 'N', 'S', 'S'};
/* With their terminating zero: what is signed or authenticated here can be taken for nothing else. */
static const char sign_domain[] = "fengni share 1", check_domain[] = "fengni share check 1";

static fn_err kind_check(unsigned kind)
{
    if (kind == FN_SHARE_ROOT || kind == FN_SHARE_BACKUP) return FN_OK;
    return FN_FAIL(FN_E_FORMAT, "kind of share %u", kind);
}

fn_err fn_serial_check(const char *serial)
{
    size_t n = fn_short_length(serial, FN_SERIAL_TEXT);
    if (n != FN_SERIAL_TEXT) return FN_FAIL(FN_E_FORMAT, "device serial of %zu characters, 16 expected", n);
    for (size_t i = 0; i < n; i++)
        if (serial[i] < 0x21 || serial[i] > 0x7e)
            return FN_FAIL(FN_E_FORMAT, "device serial is not printable ASCII");
    return FN_OK;
}

fn_err fn_holder_name_check(struct fn_bytes name)
{
    size_t bad;
    if (name.n < 1 || name.n > FN_HOLDER_MOST)
        return FN_FAIL(FN_E_FORMAT, "holder's name of %zu bytes, 1 to %u allowed", name.n, FN_HOLDER_MOST);
    if (!fn_utf8_valid(name, &bad)) return FN_FAIL(FN_E_ENCODING, "holder's name at byte %zu", bad);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] < 0x20 || name.p[i] == 0x7f)
            return FN_FAIL(FN_E_FORMAT, "control character in the holder's name");
    return FN_OK;
}

static fn_err set_check(const struct fn_share_set *set)
{
    FN_TRY(kind_check(set->kind));
    FN_TRY(fn_serial_check(set->serial));
    if (set->generation == 0) return FN_FAIL(FN_E_FORMAT, "generation 0");
    if (set->m < 2 || set->m > set->n) return FN_FAIL(FN_E_FORMAT, "%d of %d shares", set->m, set->n);
    return fn_sm2_public_check(&set->device);
}

static void check_value(const struct fn_share_set *set, const uint8_t *secret, size_t size, uint8_t check[32])
{
    struct fn_hmac_key key;
    struct fn_hmac mac;
    FN_SCOPED_WIPE(key);
    uint8_t numbers[7] = {(uint8_t)set->kind};
    fn_put_be32(numbers + 1, set->generation);
    numbers[5] = set->m;
    numbers[6] = set->n;
    fn_hmac_key_init(&key, secret, size);
    fn_hmac_init(&mac, &key);
    fn_hmac_update(&mac, check_domain, sizeof check_domain);
    fn_hmac_update(&mac, numbers, sizeof numbers);
    fn_hmac_update(&mac, set->serial, FN_SERIAL_TEXT);
    fn_hmac_update(&mac, &set->device, 64);
    fn_hmac_update(&mac, set->uuid.b, 16);
    fn_hmac_final(&mac, check);
}

static fn_err split_into(const struct fn_rng *rng, const uint8_t *secret, size_t size,
                         const struct fn_share_set *set, struct fn_share *shares)
{
    uint8_t all[255 * FN_SHAMIR_SHARE(FN_SHARE_SECRET_MOST)];
    FN_SCOPED_WIPE(all);
    FN_TRY(fn_shamir_split(rng, secret, size, set->m, set->n, all));
    for (size_t i = 0; i < set->n; i++) {
        const uint8_t *share = all + i * FN_SHAMIR_SHARE(size);
        memcpy(shares[i].y, share, size);
        shares[i].x = share[size];
    }
    return FN_OK;
}

fn_err fn_share_split(const struct fn_rng *rng, const struct fn_share_set *set, uint64_t store_generation,
                      fn_ms made, const uint8_t *secret, size_t size, const char *const *holders,
                      struct fn_share *shares)
{
    FN_TRY(set_check(set));
    if (size < FN_SHARE_SECRET_LEAST || size > FN_SHARE_SECRET_MOST || made < 0)
        return FN_FAIL(FN_E_ARGUMENT, "secret of %zu bytes at time %lld", size, (long long)made);
    for (size_t i = 0; i < set->n; i++) {
        struct fn_bytes name = fn_bytes(holders[i], fn_short_length(holders[i], FN_HOLDER_MOST));
        FN_TRY(fn_holder_name_check(name));
        shares[i] = (struct fn_share){
            .set = *set, .store_generation = store_generation, .made = made, .size = (uint8_t)size};
        memcpy(shares[i].holder, name.p, name.n);
    }
    check_value(set, secret, size, shares[0].check);
    for (size_t i = 1; i < set->n; i++) memcpy(shares[i].check, shares[0].check, 32);
    return split_into(rng, secret, size, set, shares);
}

/* ---- the encoded share: writer and reader side by side ---- */

static fn_err write_body(const struct fn_share *s, struct fn_buf *out)
{
    FN_TRY(fn_buf_add(out, share_magic, 4));
    FN_TRY(fn_buf_u8(out, VERSION));
    FN_TRY(fn_buf_u8(out, (uint8_t)s->set.kind));
    FN_TRY(fn_buf_add(out, s->set.serial, FN_SERIAL_TEXT));
    FN_TRY(fn_buf_add(out, s->set.device.x, 32));
    FN_TRY(fn_buf_add(out, s->set.device.y, 32));
    FN_TRY(fn_buf_add(out, s->set.uuid.b, 16));
    FN_TRY(fn_buf_u32(out, s->set.generation));
    FN_TRY(fn_buf_u8(out, s->set.m));
    FN_TRY(fn_buf_u8(out, s->set.n));
    FN_TRY(fn_buf_u8(out, s->x));
    FN_TRY(fn_buf_u64(out, s->store_generation));
    FN_TRY(fn_buf_u64(out, (uint64_t)s->made));
    FN_TRY(fn_buf_var(out, s->holder, fn_short_length(s->holder, FN_HOLDER_MOST)));
    FN_TRY(fn_buf_add(out, s->check, 32));
    return fn_buf_var(out, s->y, s->size);
}

static fn_err read_start(struct fn_cur *c, const uint8_t magic[4], const char *what)
{
    struct fn_bytes b;
    uint8_t version;
    FN_TRY(fn_cur_take(c, 4, &b));
    if (memcmp(b.p, magic, 4) != 0) return FN_FAIL(FN_E_FORMAT, "not a %s", what);
    FN_TRY(fn_cur_u8(c, &version));
    if (version != VERSION)
        return FN_FAIL(FN_E_VERSION, "%s of version %d, %u expected", what, version, VERSION);
    return FN_OK;
}

static fn_err read_set(struct fn_cur *c, struct fn_share_set *set)
{
    uint8_t kind;
    FN_TRY(fn_cur_u8(c, &kind));
    set->kind = (enum fn_share_kind)kind;
    FN_TRY(fn_cur_copy(c, set->serial, FN_SERIAL_TEXT));
    FN_TRY(fn_cur_copy(c, set->device.x, 32));
    FN_TRY(fn_cur_copy(c, set->device.y, 32));
    FN_TRY(fn_cur_copy(c, set->uuid.b, 16));
    FN_TRY(fn_cur_u32(c, &set->generation));
    FN_TRY(fn_cur_u8(c, &set->m));
    FN_TRY(fn_cur_u8(c, &set->n));
    return set_check(set);
}

static fn_err read_body(struct fn_cur *c, struct fn_share *s)
{
    struct fn_bytes b;
    uint64_t made;
    FN_TRY(read_start(c, share_magic, "key share"));
    FN_TRY(read_set(c, &s->set));
    FN_TRY(fn_cur_u8(c, &s->x));
    if (s->x < 1 || s->x > s->set.n) return FN_FAIL(FN_E_FORMAT, "share %d of %d", s->x, s->set.n);
    FN_TRY(fn_cur_u64(c, &s->store_generation));
    FN_TRY(fn_cur_u64(c, &made));
    if (made > INT64_MAX) return FN_FAIL(FN_E_FORMAT, "time out of range");
    s->made = (fn_ms)made;
    FN_TRY(fn_cur_var(c, FN_HOLDER_MOST, &b));
    FN_TRY(fn_holder_name_check(b));
    memcpy(s->holder, b.p, b.n);
    FN_TRY(fn_cur_copy(c, s->check, 32));
    FN_TRY(fn_cur_var(c, FN_SHARE_SECRET_MOST, &b));
    if (b.n < FN_SHARE_SECRET_LEAST) return FN_FAIL(FN_E_FORMAT, "share of %zu bytes", b.n);
    memcpy(s->y, b.p, b.n);
    s->size = (uint8_t)b.n;
    return FN_OK;
}

/* e of the device's signature: SM3(Z ‖ domain ‖ body) with the default identifier. */
static fn_err statement_digest(const struct fn_sm2_public *device, struct fn_bytes body, uint8_t e[32])
{
    struct fn_sm3 h;
    uint8_t z[32];
    FN_TRY(fn_sm2_z(z, device, FN_SM2_DEFAULT_ID));
    fn_sm3_init(&h);
    fn_sm3_update(&h, z, 32);
    fn_sm3_update(&h, sign_domain, sizeof sign_domain);
    fn_sm3_update(&h, body.p, body.n);
    fn_sm3_final(&h, e);
    return FN_OK;
}

fn_err fn_share_encode(const struct fn_share *share, const struct fn_signer *signer, struct fn_buf *out)
{
    uint8_t room[FN_SHARE_MOST], e[32], signature[SIGNATURE];
    FN_SCOPED_WIPE(room);
    struct fn_buf body = fn_buf_fixed(room, sizeof room);
    struct fn_share back;
    FN_SCOPED_WIPE(back);
    FN_TRY(write_body(share, &body));
    /* What would not be read is not written. */
    back = (struct fn_share){0};
    struct fn_cur c = fn_cur(fn_buf_view(&body));
    FN_TRY(read_body(&c, &back));
    FN_TRY(statement_digest(&share->set.device, fn_buf_view(&body), e));
    FN_TRY(signer->sign(signer->self, e, signature));
    FN_TRY(fn_sm2_verify(&share->set.device, e, signature));
    FN_TRY(fn_buf_add(&body, signature, SIGNATURE));
    return fn_buf_add(out, body.p, body.n);
}

static fn_err decode(struct fn_share *share, struct fn_bytes encoded)
{
    struct fn_cur c = fn_cur(encoded);
    struct fn_bytes signature;
    uint8_t e[32];
    if (encoded.n > FN_SHARE_MOST) return FN_FAIL(FN_E_TOO_LARGE, "key share of %zu bytes", encoded.n);
    FN_TRY(read_body(&c, share));
    size_t body = fn_cur_offset(&c);
    FN_TRY(fn_cur_take(&c, SIGNATURE, &signature));
    FN_TRY(fn_cur_end(&c));
    FN_TRY(statement_digest(&share->set.device, fn_bytes(encoded.p, body), e));
    return fn_sm2_verify(&share->set.device, e, signature.p);
}

fn_err fn_share_decode(struct fn_share *share, struct fn_bytes encoded)
{
    *share = (struct fn_share){0};
    fn_err err = decode(share, encoded);
    if (err == FN_OK) return FN_OK;
    fn_wipe(share, sizeof *share);
    return FN_WRAP(err, "key share");
}

/* ---- sealed to a holder ---- */

static void recipient_of(const struct fn_sm2_public *holder, uint8_t out[32])
{
    fn_sm3_digest(holder, 64, out);
}

fn_err fn_share_seal(const struct fn_rng *rng, const struct fn_sm2_public *holder,
                     const struct fn_share *share, struct fn_bytes encoded, struct fn_buf *out)
{
    struct fn_sm2_public c1;
    uint8_t c3[32], c2[FN_SHARE_MOST], recipient[32], room[FN_SHARE_SEALED_MOST];
    struct fn_buf sealed = fn_buf_fixed(room, sizeof room);
    if (encoded.n < 1 || encoded.n > FN_SHARE_MOST)
        return FN_FAIL(FN_E_TOO_LARGE, "key share of %zu bytes", encoded.n);
    FN_TRY(fn_sm2_public_check(holder));
    FN_TRY(fn_sm2_encrypt(holder, rng, encoded.p, encoded.n, &c1, c3, c2));
    recipient_of(holder, recipient);
    FN_TRY(fn_buf_add(&sealed, sealed_magic, 4));
    FN_TRY(fn_buf_u8(&sealed, VERSION));
    FN_TRY(fn_buf_u8(&sealed, (uint8_t)share->set.kind));
    FN_TRY(fn_buf_add(&sealed, share->set.serial, FN_SERIAL_TEXT));
    FN_TRY(fn_buf_add(&sealed, share->set.uuid.b, 16));
    FN_TRY(fn_buf_u32(&sealed, share->set.generation));
    FN_TRY(fn_buf_u8(&sealed, share->x));
    FN_TRY(fn_buf_add(&sealed, recipient, 32));
    FN_TRY(fn_buf_add(&sealed, c1.x, 32));
    FN_TRY(fn_buf_add(&sealed, c1.y, 32));
    FN_TRY(fn_buf_add(&sealed, c3, 32));
    FN_TRY(fn_buf_var(&sealed, c2, encoded.n));
    return fn_buf_add(out, sealed.p, sealed.n);
}

struct sealed {
    struct fn_share_label label;
    struct fn_sm2_public c1;
    uint8_t c3[32];
    struct fn_bytes c2;
};

static fn_err read_sealed(struct sealed *s, struct fn_bytes bytes)
{
    struct fn_cur c = fn_cur(bytes);
    uint8_t kind;
    FN_TRY(read_start(&c, sealed_magic, "sealed key share"));
    FN_TRY(fn_cur_u8(&c, &kind));
    FN_TRY(kind_check(kind));
    s->label.kind = (enum fn_share_kind)kind;
    FN_TRY(fn_cur_copy(&c, s->label.serial, FN_SERIAL_TEXT));
    FN_TRY(fn_serial_check(s->label.serial));
    FN_TRY(fn_cur_copy(&c, s->label.set.b, 16));
    FN_TRY(fn_cur_u32(&c, &s->label.generation));
    FN_TRY(fn_cur_u8(&c, &s->label.x));
    if (s->label.generation == 0 || s->label.x == 0) return FN_FAIL(FN_E_FORMAT, "generation or x is 0");
    FN_TRY(fn_cur_copy(&c, s->label.recipient, 32));
    FN_TRY(fn_cur_copy(&c, s->c1.x, 32));
    FN_TRY(fn_cur_copy(&c, s->c1.y, 32));
    FN_TRY(fn_cur_copy(&c, s->c3, 32));
    FN_TRY(fn_cur_var(&c, FN_SHARE_MOST, &s->c2));
    if (s->c2.n == 0) return FN_FAIL(FN_E_FORMAT, "empty ciphertext");
    return fn_cur_end(&c);
}

fn_err fn_share_label_read(struct fn_share_label *label, struct fn_bytes sealed)
{
    struct sealed s = {0};
    FN_TRY(read_sealed(&s, sealed));
    *label = s.label;
    return FN_OK;
}

static bool label_fits(const struct fn_share_label *l, const struct fn_share *s)
{
    return l->kind == s->set.kind && memcmp(l->serial, s->set.serial, FN_SERIAL_TEXT) == 0 &&
           memcmp(l->set.b, s->set.uuid.b, 16) == 0 && l->generation == s->set.generation && l->x == s->x;
}

static fn_err open_sealed(struct fn_share *share, const struct fn_sm2_private *holder, struct fn_bytes bytes)
{
    struct sealed s = {0};
    uint8_t recipient[32], encoded[FN_SHARE_MOST];
    FN_SCOPED_WIPE(encoded);
    FN_TRY(read_sealed(&s, bytes));
    recipient_of(&holder->pub, recipient);
    if (memcmp(recipient, s.label.recipient, 32) != 0)
        return FN_FAIL(FN_E_DEVICE_SHARE, "the share is sealed to another administrator");
    FN_TRY(fn_sm2_decrypt(holder, &s.c1, s.c3, s.c2.p, s.c2.n, encoded));
    FN_TRY(fn_share_decode(share, fn_bytes(encoded, s.c2.n)));
    if (!label_fits(&s.label, share))
        return FN_FAIL(FN_E_DEVICE_SHARE, "the label differs from the share under it");
    return FN_OK;
}

fn_err fn_share_open(struct fn_share *share, const struct fn_sm2_private *holder, struct fn_bytes sealed)
{
    *share = (struct fn_share){0};
    fn_err err = open_sealed(share, holder, sealed);
    if (err != FN_OK) fn_wipe(share, sizeof *share);
    return err;
}

/* ---- collecting ---- */

void fn_share_pool_start(struct fn_share_pool *pool, const struct fn_share_set *expected)
{
    fn_wipe(pool, sizeof *pool);
    pool->set = *expected;
}

static fn_err fits_expected(const struct fn_share_set *want, const struct fn_share_set *have)
{
    if (have->kind != want->kind)
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of kind %d, %d expected", have->kind, want->kind);
    if (memcmp(have->serial, want->serial, FN_SERIAL_TEXT) != 0)
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of device %s, this is %s", have->serial, want->serial);
    if (memcmp(&have->device, &want->device, 64) != 0)
        return FN_FAIL(FN_E_DEVICE_SHARE, "signed by another device key than that of %s", want->serial);
    if (memcmp(have->uuid.b, want->uuid.b, 16) != 0)
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of another initialisation");
    if (have->generation < want->generation)
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of generation %u, superseded by %u", have->generation,
                       want->generation);
    if (have->generation > want->generation)
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of generation %u, the store at hand is of %u: an old copy?",
                       have->generation, want->generation);
    if (want->m && (have->m != want->m || have->n != want->n))
        return FN_FAIL(FN_E_DEVICE_SHARE, "share of %d of %d, %d of %d expected", have->m, have->n, want->m,
                       want->n);
    return FN_OK;
}

fn_err fn_share_pool_add(struct fn_share_pool *pool, const struct fn_share *share)
{
    FN_TRY(fits_expected(&pool->set, &share->set));
    if (share->size < FN_SHARE_SECRET_LEAST || share->size > FN_SHARE_SECRET_MOST)
        return FN_FAIL(FN_E_ARGUMENT, "share of %d bytes", share->size);
    for (size_t i = 0; i < pool->count; i++)
        if (pool->shares[i][pool->size] == share->x)
            return FN_FAIL(FN_E_EXISTS, "share %d of %s", share->x, share->holder);
    if (pool->count && (share->size != pool->size || memcmp(share->check, pool->check, 32) != 0))
        return FN_FAIL(FN_E_DEVICE_SHARE, "share %d of %s is at odds with the others", share->x,
                       share->holder);
    if (pool->count == 0) {
        pool->set = share->set;
        pool->size = share->size;
        memcpy(pool->check, share->check, 32);
    }
    uint8_t *place = pool->shares[pool->count++];
    memcpy(place, share->y, share->size);
    place[share->size] = share->x;
    if (share->store_generation > pool->store_generation) pool->store_generation = share->store_generation;
    return FN_OK;
}

unsigned fn_share_pool_missing(const struct fn_share_pool *pool)
{
    unsigned m = pool->set.m ? pool->set.m : 2;
    return pool->count < m ? m - pool->count : 0;
}

fn_err fn_share_pool_combine(const struct fn_share_pool *pool, uint8_t secret[FN_SHARE_SECRET_MOST],
                             size_t *size)
{
    struct fn_bytes shares[255];
    uint8_t check[32];
    if (fn_share_pool_missing(pool))
        return FN_FAIL(FN_E_DEVICE_QUORUM, "%d of %d shares are there", pool->count, pool->set.m);
    for (size_t i = 0; i < pool->set.m; i++)
        shares[i] = fn_bytes(pool->shares[i], FN_SHAMIR_SHARE(pool->size));
    FN_TRY(fn_shamir_combine(shares, pool->set.m, secret, pool->size));
    check_value(&pool->set, secret, pool->size, check);
    if (!fn_equal_ct(check, pool->check, 32)) {
        fn_wipe(secret, pool->size);
        return FN_FAIL(FN_E_DEVICE_SHARE, "the shares do not give the secret of their check value");
    }
    *size = pool->size;
    return FN_OK;
}

fn_err fn_share_pool_store_check(const struct fn_share_pool *pool, uint64_t store_generation)
{
    if (store_generation >= pool->store_generation) return FN_OK;
    return FN_FAIL(FN_E_DEVICE_STORE_OLD, "store of generation %llu, a share was made at %llu",
                   (unsigned long long)store_generation, (unsigned long long)pool->store_generation);
}

void fn_share_pool_wipe(struct fn_share_pool *pool)
{
    fn_wipe(pool, sizeof *pool);
}
