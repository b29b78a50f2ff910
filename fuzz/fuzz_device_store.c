/* Opening a device store whose files hold anything. The first byte chooses: a raw log, a raw base, bytes
 * changed in a sound store, or content of any kind under a right MAC, which reaches the parsing behind it.
 * Whatever opens must answer each read with a value or an error, take a commit, and merge or refuse to. */
#include "base/sys/file_fault.h"
#include "device/store_parts.h"
#include <string.h>

#define DISK      "/disk"
#define DIRECTORY DISK "/device"

static const struct fn_device_store_keys keys = {.seal = "sixteen bytes a",
                                                 .mac = "thirty-two bytes for a mac key"};

#define MUST(expression)                                                                                     \
    do {                                                                                                     \
        if ((expression) != FN_OK) __builtin_trap();                                                         \
    } while (0)

/* base.2 with two records, log.2 with two commits and the mark of a clean stop. */
static struct fn_file_fault *sound_store(void)
{
    static struct fn_file_fault *sound;
    if (sound) return sound;
    struct fn_device_store *store;
    MUST(fn_file_fault_new(&sound, DISK));
    const struct fn_files *files = fn_file_fault_files(sound);
    MUST(fn_device_store_create(files, DIRECTORY, &keys));
    MUST(fn_device_store_open(&store, files, DIRECTORY, &keys, NULL));
    for (uint8_t i = 0; i < 4; i++) {
        struct fn_change c = {.name = {.kind = 2, .n = 1, .b = {i}}, .value = fn_bytes("0123456789", 3u * i)};
        MUST(fn_device_store_commit(store, &c, 1));
        if (i == 1) MUST(fn_device_store_checkpoint(store));
    }
    fn_device_store_close(store);
    return sound;
}

static void replace(const struct fn_files *files, const char *path, const void *p, size_t n)
{
    MUST(fn_files_replace(files, path, fn_bytes(p, n), 0600));
}

static void change_bytes(struct fn_file_fault *disk, const uint8_t *p, size_t n)
{
    for (; n >= 4; p += 4, n -= 4)
        fn_file_fault_flip(disk, p[0] & 1 ? DIRECTORY "/base.2" : DIRECTORY "/log.2", fn_get_be16(p + 1),
                           p[3]);
}

/* A frame with any body, counts and generation, of which only the MAC is right. */
static void add_frame(struct fn_file_fault *disk, const struct fn_dstore_root *root, const uint8_t *p,
                      size_t n)
{
    const struct fn_files *files = fn_file_fault_files(disk);
    struct fn_dstore_log *log;
    struct fn_dstore_base *old, *base;
    struct fn_buf frame = fn_buf_heap();
    static const uint8_t salt[FN_DSTORE_SALT];
    struct fn_dstore_home home = {files, DIRECTORY};
    bool usable;
    if (n < 2) return;
    MUST(fn_dstore_base_load(&old, &home, root, 2));
    MUST(fn_dstore_log_create(&log, &home, root, 2, salt, false));
    MUST(fn_dstore_base_write(&base, &home, root, 2, log->head, old, NULL, NULL));
    MUST(fn_dstore_place(&home, "base", 2));
    MUST(fn_dstore_frame_begin(&frame));
    MUST(fn_buf_add(&frame, p + 2, n - 2));
    MUST(fn_dstore_frame_finish(log, &frame, FN_DSTORE_COMMITS, 3u + (p[0] >> 6), p[1] + 1u, salt));
    MUST(fn_dstore_log_append(log, &frame, &usable));
    fn_buf_free(&frame);
    fn_dstore_log_close(log);
    fn_dstore_base_release(old);
    fn_dstore_base_release(base);
}

/* An index of any content, of which only the MAC is right. */
static void make_base(const struct fn_files *files, const struct fn_dstore_root *root, const uint8_t *p,
                      size_t n)
{
    struct fn_buf b = fn_buf_heap();
    uint8_t k[FN_DSTORE_MAC], tag[FN_DSTORE_MAC];
    struct fn_hmac_key mac;
    if (n < 2) return;
    size_t count = p[0] % 8, index = count * FN_DSTORE_ENTRY;
    MUST(fn_files_read_all(files, DIRECTORY "/base.2", 1u << 20, &b));
    b.n = FN_DSTORE_HEADER;
    fn_put_be64(b.p + 64, count);
    if (index > n - 2) return fn_buf_free(&b);
    MUST(fn_buf_add(&b, p + 2, index));
    fn_put_be64(b.p + 72, n - 2 - index);
    fn_dstore_derive(&root->mac, "base index", fn_bytes(b.p + 32, FN_DSTORE_SALT), fn_bytes(NULL, 0), k);
    fn_hmac_key_init(&mac, k, sizeof k);
    fn_hmac_digest(&mac, b.p, b.n, tag);
    MUST(fn_buf_add(&b, tag, sizeof tag));
    MUST(fn_buf_add(&b, p + 2 + index, n - 2 - index));
    replace(files, DIRECTORY "/base.2", b.p, b.n);
    fn_buf_free(&b);
}

static void use(struct fn_device_store *store)
{
    struct fn_buf out = fn_buf_heap();
    struct fn_change c = {.name = {.kind = 2, .n = 1, .b = {9}}, .value = FN_BYTES_LITERAL("new")};
    uint64_t checked;
    fn_device_store_verify(store, NULL, &checked);
    MUST(fn_device_store_commit(store, &c, 1));
    MUST(fn_device_store_get(store, &c.name, &out));
    if (out.n != 3 || memcmp(out.p, "new", 3)) __builtin_trap();
    fn_device_store_checkpoint(store);
    fn_buf_free(&out);
    fn_device_store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fn_file_fault *disk;
    struct fn_device_store *store;
    struct fn_dstore_root *root;
    if (!size || size > 65536) return 0;
    MUST(fn_file_fault_clone(&disk, sound_store()));
    MUST(fn_dstore_root_new(&root, &keys));
    const struct fn_files *files = fn_file_fault_files(disk);
    const uint8_t *p = data + 1;
    size_t n = size - 1;
    switch (data[0] % 5) {
    case 0:
        replace(files, DIRECTORY "/log.2", p, n);
        break;
    case 1:
        replace(files, DIRECTORY "/base.2", p, n);
        break;
    case 2:
        change_bytes(disk, p, n);
        break;
    case 3:
        add_frame(disk, root, p, n);
        break;
    case 4:
        make_base(files, root, p, n);
        break;
    }
    if (fn_device_store_open(&store, files, DIRECTORY, &keys, NULL) == FN_OK) use(store);
    fn_secret_free(root);
    fn_file_fault_free(disk);
    return 0;
}
