/* libsdf as it should not be used: full vectors, buffers that end at a page nobody may touch, wrong handles,
 * nothing where something is wanted. */
#include "device_process.h"

#include <sys/mman.h>

/* n bytes right before a page that cannot be touched. */
static __attribute__((unused)) void *before_wall(size_t n)
{
    size_t page = 4096, whole = (n + page - 1) / page * page + page;
    unsigned char *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + whole - page, page, PROT_NONE), 0);
    memset(p, 0x5a, whole - page);
    return p + whole - page - n;
}

/* The largest vector that can be put together is answered, though the answer is longer than a request may be. */
static void test_full_vector(void **state)
{
    (void)state;
    void *handle, *session, *vector, *key;
    unsigned char data[240] = {1};
    unsigned int count = 0;
    SDFX_Uuid uuid;
    SDFX_Result *r = NULL;
    assert_int_equal(S(SDFX_OpenDevice)(&handle, NULL), SDR_OK);
    assert_int_equal(S(SDF_OpenSession)(handle, &session), SDR_OK);
    assert_int_equal(S(SDFX_NewKey)(session, SDFX_CLASS_DATA_ENC, SDFX_SM4, SDFX_USE_ENCRYPT | SDFX_USE_DECRYPT,
                                    "", NULL, &uuid, NULL, NULL),
                     SDR_OK);
    assert_int_equal(S(SDFX_KeyHandle)(session, &uuid, 0, &key), SDR_OK);
    assert_int_equal(S(SDFX_NewVector)(session, SDFX_AEAD_ENCRYPT, &vector), SDR_OK);
    while (S(SDFX_AddAead)(vector, key, SGD_SM4_GCM, NULL, 0, NULL, 0, NULL, 0, data, sizeof data) == SDR_OK)
        count++;
    assert_true(count > 3000);
    assert_int_equal(S(SDFX_Submit)(vector, 1), SDR_OK);
    for (int i = 0; i < 600 && !r; i++) (void)S(SDFX_Poll)(handle, 100, &r);
    assert_non_null(r);
    assert_int_equal(S(SDFX_ResultStatus)(r), SDR_OK);
    assert_int_equal(S(SDFX_ResultCount)(r), count);
    for (unsigned int i = 0; i < count; i++) assert_int_equal(S(SDFX_ResultItem)(r, i), SDR_OK);
    S(SDFX_FreeResult)(r);
    assert_int_equal(S(SDF_CloseDevice)(handle), SDR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_vector),
    };
    device_make(false);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    device_end();
    return failed;
}
