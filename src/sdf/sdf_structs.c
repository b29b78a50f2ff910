#include "sdf/sdf_private.h"

#include <string.h>

/* The layouts that every known implementation shares. */
_Static_assert(sizeof(DEVICEINFO) == 100 && offsetof(DEVICEINFO, DeviceVersion) == 72 &&
                   offsetof(DEVICEINFO, BufferSize) == 96,
               "DEVICEINFO");
_Static_assert(sizeof(RSArefPublicKey) == 516 && sizeof(RSArefPrivateKey) == 1412, "RSA");
_Static_assert(sizeof(ECCrefPublicKey) == 132 && sizeof(ECCrefPrivateKey) == 68 &&
                   sizeof(ECCSignature) == 128,
               "ECC");
_Static_assert(offsetof(ECCCipher, M) == 128 && offsetof(ECCCipher, L) == 160 &&
                   offsetof(ECCCipher, C) == 164,
               "ECCCipher");
_Static_assert(offsetof(EnvelopedECCKey, cbEncryptedPriKey) == 12 &&
                   offsetof(EnvelopedECCKey, PubKey) == 76 && offsetof(EnvelopedECCKey, ECCCipherBlob) == 208,
               "EnvelopedECCKey");
_Static_assert(sizeof(SM9MasterPrivateKey) == 36 && sizeof(SM9SignMasterPublicKey) == 132 &&
                   sizeof(SM9EncMasterPublicKey) == 68 && sizeof(SM9SignUserPrivateKey) == 68 &&
                   sizeof(SM9EncUserPrivateKey) == 132,
               "SM9 keys");
_Static_assert(offsetof(SM9Cipher, C) == 104 && sizeof(SM9Signature) == 96 && sizeof(SM9KeyPackage) == 64,
               "SM9 results");
_Static_assert(sizeof(SM9EncEnvelopedKey) == 604 && sizeof(SM9SignEnvelopedKey) == 604, "SM9 envelopes");
_Static_assert(sizeof(unsigned int) == 4, "numbers of 32 bits");

#define HALF (ECCref_MAX_LEN - 32)

static bool upper_zero(const unsigned char field[ECCref_MAX_LEN])
{
    unsigned char all = 0;
    for (size_t i = 0; i < HALF; i++) all |= field[i];
    return all == 0;
}

static void field_out(unsigned char field[ECCref_MAX_LEN], const uint8_t value[32])
{
    memset(field, 0, HALF);
    memcpy(field + HALF, value, 32);
}

int sdf_public_in(const ECCrefPublicKey *in, uint8_t out[64])
{
    if (!in) return sdf_bad_argument("no public key");
    if (in->bits != 256) return sdf_bad_argument("public key not of 256 bits");
    if (!upper_zero(in->x) || !upper_zero(in->y))
        return sdf_bad_argument("upper half of a coordinate is not zero");
    memcpy(out, in->x + HALF, 32);
    memcpy(out + 32, in->y + HALF, 32);
    return SDR_OK;
}

void sdf_public_out(const uint8_t in[64], ECCrefPublicKey *out)
{
    out->bits = 256;
    field_out(out->x, in);
    field_out(out->y, in + 32);
}

int sdf_signature_in(const ECCSignature *in, uint8_t out[64])
{
    if (!in) return sdf_bad_argument("no signature");
    if (!upper_zero(in->r) || !upper_zero(in->s))
        return sdf_bad_argument("upper half of a signature number is not zero");
    memcpy(out, in->r + HALF, 32);
    memcpy(out + 32, in->s + HALF, 32);
    return SDR_OK;
}

void sdf_signature_out(const uint8_t in[64], ECCSignature *out)
{
    field_out(out->r, in);
    field_out(out->s, in + 32);
}

int sdf_cipher_in(const ECCCipher *in, uint32_t most, struct build *b)
{
    if (!in) return sdf_bad_argument("no ciphertext");
    if (!upper_zero(in->x) || !upper_zero(in->y) || in->L == 0 || in->L > most) {
        (void)FN_FAIL(FN_E_SM2_CIPHERTEXT, "L is %u, or the upper half of a coordinate is not zero", in->L);
        return SDR_ENCDATAERR;
    }
    put_u32(b, 96 + in->L);
    put_raw(b, in->x + HALF, 32);
    put_raw(b, in->y + HALF, 32);
    put_raw(b, in->M, 32);
    put_raw(b, (const unsigned char *)in + offsetof(ECCCipher, C), in->L);
    return SDR_OK;
}

int sdf_cipher_out(struct fn_bytes in, ECCCipher *out)
{
    if (in.n <= 96 || in.n > FN_DEVICE_FRAME_MOST) return SDR_COMMFAIL;
    field_out(out->x, in.p);
    field_out(out->y, in.p + 32);
    memcpy(out->M, in.p + 64, 32);
    out->L = (unsigned int)(in.n - 96);
    memcpy((unsigned char *)out + offsetof(ECCCipher, C), in.p + 96, in.n - 96);
    return SDR_OK;
}

int sdf_rsa_in(const RSArefPublicKey *in, uint8_t out[4 + 2 * RSAref_MAX_LEN], size_t *n, uint32_t *algorithm)
{
    if (!in) return sdf_bad_argument("no public key");
    if (in->bits != RSAref_MAX_BITS) {
        (void)FN_FAIL(FN_E_UNSUPPORTED, "RSA of %u bits", in->bits);
        return SDR_KEYERR;
    }
    fn_put_be32(out, in->bits);
    memcpy(out + 4, in->m, RSAref_MAX_LEN);
    memcpy(out + 4 + RSAref_MAX_LEN, in->e, RSAref_MAX_LEN);
    *n = 4 + 2 * RSAref_MAX_LEN;
    *algorithm = FN_ALG_RSA2048;
    return SDR_OK;
}

int sdf_rsa_out(struct fn_bytes in, RSArefPublicKey *out)
{
    if (in.n < 6 || (in.n - 4) % 2 != 0) return SDR_COMMFAIL;
    size_t length = (in.n - 4) / 2;
    uint32_t bits = fn_get_be32(in.p);
    if (bits > RSAref_MAX_BITS || length > RSAref_MAX_LEN) {
        (void)FN_FAIL(FN_E_KEY_ALGORITHM, "RSA of %u bits does not fit the structure of the standard", bits);
        return SDR_KEYTYPEERR;
    }
    memset(out, 0, sizeof *out);
    out->bits = bits;
    memcpy(out->m + RSAref_MAX_LEN - length, in.p + 4, length);
    memcpy(out->e + RSAref_MAX_LEN - length, in.p + 4 + length, length);
    return SDR_OK;
}
