/* Inside of libsdf.so: objects behind the standard's handles, building of requests, reading of answers.
 *
 * A handle is a number dressed as a pointer {generation, slot, kind} and is never followed: a closed, foreign
 * or invented one is found out by looking it up. Objects are counted, so that closing a session in one thread
 * does not pull it from under another. */
#ifndef SDF_PRIVATE_H
#define SDF_PRIVATE_H

#include "crypto/sm2/sm2.h"
#include "crypto/sm3/sm3.h"
#include "device/client/client.h"
#include "gmt/sdf.h"

#include <pthread.h>

#define SDF_PUBLIC __attribute__((visibility("default")))
/* Bytes of one request that are left for data, and the piece in which longer data is sent (whole blocks). */
#define SDF_PIECE (512u * 1024)
#define SDF_CIPHER_MOST                                                                                      \
    65536u /* of ECCCipher.L: the caller's room is not known, a wild value must not be followed */
#define SDF_REF_MOST 8192u /* of a key reference (sealed blobs) */

enum object_kind { OBJECT_DEVICE = 1, OBJECT_SESSION, OBJECT_KEY, OBJECT_AGREEMENT, OBJECT_VECTOR };

struct object {
    enum object_kind kind;
    unsigned references;
    uint32_t slot;
    void *handle;
    struct object *owner;    /* a session's device, a key's session; counted */
    struct object *children; /* live ones, through next */
    struct object *next, *previous;
};

/* One connection; SDF_OpenDevice shares it within the process, SDFX_OpenDevice makes its own. */
struct shared_client {
    struct shared_client *next;
    struct fn_client *client;
    char *path;
    unsigned users;
    bool shared;
};

struct sdf_device {
    struct object object;
    struct shared_client *client;
};

struct part {
    bool active;
    uint64_t epoch, clear_key; /* clear_key: session key that ends with the calculation */
};

struct sdf_session {
    struct object object;
    struct fn_client *client;
    uint32_t number;
    pthread_mutex_t lock; /* of what follows */
    bool hashing;
    struct fn_sm3 hash;
    struct part parts[FN_PART_KINDS];
};

struct sdf_key {
    struct object object;
    uint64_t epoch;  /* of a session key; 0: a stored or sealed key, which outlives connections */
    uint64_t handle; /* of a session key */
    size_t ref_size;
    uint8_t *ref; /* the reference as the protocol has it, without its length */
};

struct sdf_agreement {
    struct object object;
    uint64_t epoch, handle;
};

/* Objects (sdf_objects.c) */
/* A new object of `size` bytes, in the table and borrowed until sdf_object_release like one that was looked
 * up: another thread may close it with its owner at once. NULL without memory. */
void *sdf_object_new(enum object_kind kind, size_t size, struct object *owner);
/* Borrowed until sdf_object_release; NULL for anything that is not a live handle of this kind. */
void *sdf_object_get(void *handle, enum object_kind kind);
void sdf_object_release(struct object *o);
/* Takes the handle and those of its children out of the table. false: was not live. */
bool sdf_object_close(void *handle, enum object_kind kind);
struct shared_client *sdf_client_get(const char *path, bool shared, fn_err *failed);
void sdf_client_release(struct shared_client *c);

/* What a vector holds (sdf_vector.c). */
void sdf_vector_end(struct object *o);

static inline void sdf_scoped_release(void *o)
{
    if (*(struct object **)o) sdf_object_release(*(struct object **)o);
}
#define SDF_SCOPED __attribute__((cleanup(sdf_scoped_release)))
#define SDF_SESSION(name, handle)                                                                            \
    SDF_SCOPED struct sdf_session *name = sdf_object_get((handle), OBJECT_SESSION);                          \
    if (!name) return sdf_bad_handle("session")
/* The key must belong to the session, and its connection must still be there. */
#define SDF_KEY(name, session, handle)                                                                       \
    SDF_SCOPED struct sdf_key *name = sdf_object_get((handle), OBJECT_KEY);                                  \
    if (!name || name->object.owner != &(session)->object) return sdf_bad_key()

/* Errors (sdf_error.c) */
int sdf_code(fn_err failed);
int sdf_bad_handle(const char *what);
int sdf_bad_key(void);
/* SDR_INARGERR, with words for the chain. */
int sdf_bad_argument(const char *what);

/* Requests (sdf_request.c): sticky failure, so that a request reads like its definition. */
struct build {
    struct fn_buf items;
    fn_err failed;
    uint64_t epoch; /* of the handles named so far; 0: none */
    uint8_t small[1024];
};
void build_start(struct build *b);
void build_end(struct build *b);
#define SDF_BUILD(name)                                                                                      \
    struct build name __attribute__((cleanup(build_end)));                                                   \
    build_start(&name)
void put_u8(struct build *b, uint8_t v);
void put_u16(struct build *b, uint16_t v);
void put_u32(struct build *b, uint32_t v);
void put_u64(struct build *b, uint64_t v);
void put_raw(struct build *b, const void *p, size_t n);
void put_var(struct build *b, const void *p, size_t n);
void put_index(struct build *b, uint32_t index, enum fn_key_half half);
void put_key(struct build *b, const struct sdf_key *key);
void put_external(struct build *b, uint32_t algorithm, const uint8_t *key, size_t n);

struct answer {
    struct fn_client_response response;
    struct fn_cur cur;
    fn_err failed; /* of reading */
};
void answer_end(struct answer *a);
#define SDF_ANSWER(name) struct answer name __attribute__((cleanup(answer_end))) = {0}
/* One item, the one the request has; SDR_OK leaves the cursor behind the item's status. */
int sdf_call(struct sdf_session *s, uint16_t operation, struct build *b, struct answer *a);
uint32_t take_u32(struct answer *a);
uint64_t take_u64(struct answer *a);
struct fn_bytes take_var(struct answer *a);
/* A var of exactly n bytes; zeros when it is not. */
void take_exact(struct answer *a, void *out, size_t n);
/* SDR_OK when everything was read and nothing is left; a device that answers otherwise is not one:
 * SDR_COMMFAIL. */
int answer_code(struct answer *a);

/* A new key object for a session key just made. */
int sdf_new_session_key(struct sdf_session *s, struct answer *a, uint64_t handle, void **phKeyHandle);
int sdf_new_reference(struct sdf_session *s, const void *ref, size_t n, void **phKeyHandle);

/* Structures (sdf_structs.c) */
int sdf_public_in(const ECCrefPublicKey *in, uint8_t out[64]);
void sdf_public_out(const uint8_t in[64], ECCrefPublicKey *out);
int sdf_signature_in(const ECCSignature *in, uint8_t out[64]);
void sdf_signature_out(const uint8_t in[64], ECCSignature *out);
/* Appends C1x ‖ C1y ‖ C3 ‖ C2 as a var. */
int sdf_cipher_in(const ECCCipher *in, uint32_t most, struct build *b);
/* Writes exactly 164 + L bytes. */
int sdf_cipher_out(struct fn_bytes in, ECCCipher *out);
/* u32 bits ‖ modulus ‖ exponent, equally long; *n its length. */
int sdf_rsa_in(const RSArefPublicKey *in, uint8_t out[4 + 2 * RSAref_MAX_LEN], size_t *n,
               uint32_t *algorithm);
int sdf_rsa_out(struct fn_bytes in, RSArefPublicKey *out);

/* Symmetric helpers shared with the debugging functions (sdf_symmetric.c) */
int sdf_cipher_algorithm(unsigned int uiAlgID);
int sdf_crypt(struct sdf_session *s, uint16_t operation, const struct sdf_key *key, unsigned int uiAlgID,
              unsigned char *pucIV, const unsigned char *in, unsigned int n, unsigned char *out,
              unsigned int *out_n);
struct part_start {
    enum fn_multipart kind;
    const struct sdf_key *key;
    unsigned int algorithm;
    struct fn_bytes start, aad, tag;
    uint64_t total;
    uint64_t clear_key;
};
int sdf_part_start(struct sdf_session *s, const struct part_start *p);
int sdf_part_update(struct sdf_session *s, enum fn_multipart kind, const unsigned char *in, unsigned int n,
                    unsigned char *out, unsigned int *out_n);
int sdf_part_finish(struct sdf_session *s, enum fn_multipart kind, unsigned char *last, unsigned int *last_n,
                    unsigned char *tag, unsigned int *tag_n);
void sdf_destroy_handle(struct sdf_session *s, uint64_t epoch, uint64_t handle);

#endif
