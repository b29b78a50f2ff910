/* A whole device in this process, driven through its real request path: the input is a script of frames
 * (every operation, key references of every kind, replays, raw bytes, changes of client), the worker is
 * turned by hand.
 *
 * Checked beyond crashes: answers are laid out as the operation table says, every request is answered,
 * nothing works with a key of another tenant or with a key whose destruction was answered, connections end.
 */
#include "device/server.c" /* its worker has no other door; the archive's own copy is then not linked */

#include "base/sys/secret.h"
#include <dirent.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RUNS_MOST  20000 /* then the device begins anew: its store grows with every run */
#define POOL       24
#define STEPS_MOST 96
#define KEEP_MOST  2048

static struct fn_device device = {.options = {.uid = -1, .threads = 1}};
static char home[128], texts[4][160];
static unsigned runs;
static uint64_t fresh_id;

static const char *const tenants[] = {"one", "one", "two", "trial"};

static void must(fn_err err, const char *what)
{
    const struct fn_err_cause *causes;
    if (err == FN_OK) return;
    fprintf(stderr, "%s: E%d %s\n", what, err, fn_err_chain(&causes) ? causes[0].detail : "");
    abort();
}

static void check(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* ---- the device ---- */

static void empty(const char *folder)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        fn_format(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path)) {
            empty(path);
            rmdir(path);
        }
    }
    if (d) closedir(d);
}

static void at_exit(void)
{
    empty(home);
    rmdir(home);
}

static fn_err manage(const char *verb, struct fn_bytes body)
{
    struct fn_manage_session session = {.uid = geteuid()};
    struct fn_buf out FN_SCOPED_BUF = fn_buf_heap();
    return fn_manage(&device, &session, fn_bytes(verb, strlen(verb)), body, &out);
}

static void begin(void)
{
    static const char *const made[][2] = {
        {"init", "{\"unattended\":true,\"clients\":["
                 "{\"uid\":1000,\"tenant\":\"one\",\"application\":\"a\"},"
                 "{\"uid\":1001,\"tenant\":\"one\",\"application\":\"b\"},"
                 "{\"uid\":1002,\"tenant\":\"two\",\"application\":\"c\"},"
                 "{\"uid\":1003,\"tenant\":\"trial\",\"application\":\"d\",\"test\":true}]}"},
        {"key.create_index", "{\"tenant\":\"one\",\"index\":1}"},
        {"key.create_index", "{\"tenant\":\"one\",\"index\":2,\"password\":\"12345678\"}"},
        {"key.create_index", "{\"tenant\":\"one\",\"index\":3,\"algorithm\":\"rsa2048\"}"},
        {"key.create_index", "{\"tenant\":\"two\",\"index\":1,\"half\":\"sign\",\"algorithm\":\"p256\"}"},
        {"kek.create", "{\"tenant\":\"one\",\"index\":1}"},
        {"kek.create", "{\"tenant\":\"two\",\"index\":1}"},
        {"kek.create", "{\"tenant\":\"trial\",\"index\":1}"},
    };
    uint8_t random[16];
    empty(home);
    mkdir(texts[0], 0700);
    must(fn_life_key_file(&device), "key file");
    must(fn_rng_fill(fn_device_rng(), random, 16), "random");
    fn_uuid_from_random(&device.boot, random);
    atomic_store(&device.state, FN_DEVICE_INITIAL);
    must(fn_life_open(&device), "open");
    for (size_t i = 0; i < FN_COUNT(made); i++)
        must(manage(made[i][0], fn_bytes(made[i][1], strlen(made[i][1]))), made[i][0]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    fn_format(home, sizeof home, "%s/fengni-fuzz-XXXXXX", where);
    check(mkdtemp(home) != NULL, "folder");
    atexit(at_exit);
    static const char *const names[] = {"device", "device.sock", "management.sock", "unattended.key"};
    for (int i = 0; i < 4; i++) fn_format(texts[i], sizeof texts[i], "%s/%s", home, names[i]);
    device.options.directory = texts[0];
    device.options.socket = texts[1];
    device.options.management = texts[2];
    device.options.unattended_key = texts[3];
    device.files = fn_files_real();
    device.connections_most = 64;
    pthread_mutex_init(&device.clients_mutex, NULL);
    pthread_mutex_init(&device.claims_mutex, NULL);
    pthread_mutex_init(&device.remember_mutex, NULL);
    pthread_rwlock_init(&device.life_lock, NULL);
    must(fn_device_random_open(), "random");
    begin();
    must(fn_heap_array(&device.workers, 1, sizeof *device.workers), "worker");
    must(worker_open(&device, &device.workers[0], 1, -1), "worker"); /* 1: it has no listener */
    device.workers_count = 1;
    fn_arena_use(&device.workers[0].base.arena);
    return 0;
}

/* ---- the script ---- */

struct kept {
    uint8_t b[KEEP_MOST];
    size_t n;
};
struct known_key {
    struct fn_uuid uuid;
    const char *tenant;
    bool destroyed;
};
struct sent {
    uint8_t id[16];
    const struct fn_operation *op;
    uint32_t session;
    bool must_fail; /* every item names a key that may not be used */
    struct fn_uuid destroys;
};

static struct script {
    struct fn_bytes in;
    int fd;
    unsigned client; /* index into tenants */
    struct fn_buf out;
    uint8_t answer[FN_DEVICE_RESPONSE_MOST + 4];
    size_t answer_n;
    struct kept vars[POOL], sealed[4];
    const char *sealed_tenant[4];
    struct known_key keys[POOL];
    uint64_t handles[POOL];
    uint32_t sessions[POOL];
    struct sent sent[2048];
    size_t vars_n, sealed_n, keys_n, handles_n, sessions_n, sent_n;
    bool wild; /* raw bytes went in: what comes back need not fit */
} s;

static uint8_t u8(void)
{
    if (!s.in.n) return 0;
    s.in.n--;
    return *s.in.p++;
}

static void put(const void *p, size_t n)
{
    must(fn_buf_add(&s.out, p, n), "memory");
}
static void put32(uint32_t v)
{
    must(fn_buf_u32(&s.out, v), "memory");
}
static void put_var(const void *p, size_t n)
{
    must(fn_buf_var(&s.out, p, n), "memory");
}

static uint32_t number(void)
{
    static const uint32_t known[] = {
        0,          1,    2,     3,     4,       5,        7,        8,         12,    15,         16,
        17,         31,   32,    33,    64,      65,       96,       97,        3,     128,        255,
        256,        512,  513,   0x401, 0x402,   0x404,    0x408,    0x410,     0x420, 0x01000400, 0x02000400,
        0x04000400, 4096, 65535, 65536, 0xff000, 1u << 20, 1u << 31, UINT32_MAX};
    uint8_t b = u8();
    if (b < 4 * FN_COUNT(known)) return known[b % FN_COUNT(known)];
    return (uint32_t)u8() << 8 | b;
}

static void field_bytes(void)
{
    static uint8_t pattern[8192];
    uint8_t how = u8(), n;
    switch (how % 6) {
    case 0:
        put_var("", 0);
        return;
    case 1:
        n = u8() % 80;
        if (n > s.in.n) n = (uint8_t)s.in.n;
        put_var(s.in.p, n);
        s.in = fn_bytes(s.in.p + n, s.in.n - n);
        return;
    case 2: {
        static const size_t sizes[] = {1,  7,  8,  12, 13, 15,  16,  17,  31,  32,   33,
                                       48, 64, 65, 96, 97, 112, 255, 256, 257, 1024, 8192};
        n = u8();
        memset(pattern, n, sizeof pattern);
        put_var(pattern, sizes[how / 6 % FN_COUNT(sizes)]);
        return;
    }
    case 3: /* a password, labels, names */
        put_var("12345678wrong", how & 8 ? 13 : how & 16 ? 8 : 1);
        return;
    default:
        if (!s.vars_n) return put_var("", 0);
        struct kept *v = &s.vars[how / 6 % (s.vars_n < POOL ? s.vars_n : POOL)];
        put_var(v->b, v->n);
        return;
    }
}

/* true when the reference names a key that the caller may not use. */
static bool field_key(void)
{
    uint8_t how = u8(), ref[KEEP_MOST + 8], flip;
    size_t n = 1;
    bool forbidden = false;
    ref[0] = how % 6;
    switch (how % 6) {
    case FN_KEY_UUID: {
        if (!s.keys_n) break;
        const struct known_key *k = &s.keys[how / 6 % (s.keys_n < POOL ? s.keys_n : POOL)];
        memcpy(ref + 1, k->uuid.b, 16);
        fn_put_be32(ref + 17, u8() & 3);
        forbidden = k->destroyed || strcmp(k->tenant, tenants[s.client]) != 0;
        n = 21;
        break;
    }
    case FN_KEY_INDEX:
        fn_put_be32(ref + 1, how / 6 & 3);
        ref[5] = how / 24 % 5;
        n = 6;
        break;
    case FN_KEY_HANDLE:
        fn_put_be64(ref + 1,
                    s.handles_n ? s.handles[how / 6 % (s.handles_n < POOL ? s.handles_n : POOL)] : u8());
        n = 9;
        break;
    case FN_KEY_SEALED: {
        if (!s.sealed_n) break;
        size_t at = how / 6 % (s.sealed_n < 4 ? s.sealed_n : 4);
        n = 1 + s.sealed[at].n;
        memcpy(ref + 1, s.sealed[at].b, n - 1);
        forbidden = strcmp(s.sealed_tenant[at], tenants[s.client]) != 0;
        flip = u8();
        if (flip & 0x80) { /* altered by one bit */
            ref[1 + (flip & 0x7f) * 7 % (n - 1)] ^= (uint8_t)(1 << (flip & 7));
            forbidden = true;
        }
        break;
    }
    case FN_KEY_EXTERNAL:
        fn_put_be32(ref + 1, how / 6 % 8);
        n = 5;
        if (s.vars_n) {
            const struct kept *v = &s.vars[u8() % (s.vars_n < POOL ? s.vars_n : POOL)];
            memcpy(ref + 5, v->b, v->n);
            n += v->n;
        }
        break;
    default:
        n = how / 6 % 8;
        if (n > s.in.n) n = s.in.n;
        if (n) memcpy(ref, s.in.p, n);
        break;
    }
    put_var(ref, n);
    return forbidden;
}

static bool field(const struct fn_operation *op, size_t at, struct sent *r)
{
    uint64_t v = 0;
    struct fn_uuid uuid = {{0}};
    uint8_t bytes[32], b;
    switch (op->request[at]) {
    case 'B':
        b = u8() % 8;
        put(&b, 1);
        return false;
    case 'H':
        v = number() & 0xffff;
        /* Pairs of RSA take a second each to make. */
        if (at == 1 && (v == FN_ALG_RSA2048 || v == FN_ALG_RSA3072)) v = FN_ALG_SM2;
        must(fn_buf_u16(&s.out, (uint16_t)v), "memory");
        return false;
    case 'W':
        put32(number());
        return false;
    case 'Q':
        b = u8();
        v = b & 0x80 && s.handles_n ? s.handles[b % (s.handles_n < POOL ? s.handles_n : POOL)]
            : b & 0x40              ? UINT64_MAX - b
                                    : b;
        must(fn_buf_u64(&s.out, v), "memory");
        return false;
    case 'U': {
        b = u8();
        bool foreign = false;
        if (s.keys_n && b & 0x80) {
            const struct known_key *k = &s.keys[b % (s.keys_n < POOL ? s.keys_n : POOL)];
            uuid = k->uuid;
            /* A list after a foreign key's uuid is a list of one's own; destroying twice is answered twice.
             */
            foreign = strcmp(k->tenant, tenants[s.client]) != 0 && op->number != FN_OP_KEY_LIST;
            r->destroys = uuid;
        }
        put(uuid.b, 16);
        return foreign;
    }
    case 'D':
        memset(bytes, u8(), 32);
        put(bytes, 32);
        return false;
    case 'k':
        return field_key();
    default:
        field_bytes();
        return false;
    }
}

static void frame(void)
{
    size_t operations = 0;
    while (fn_operation_at(operations)) operations++;
    const struct fn_operation *op = fn_operation_at(u8() % operations);
    uint8_t c = u8();
    uint16_t count = op->flags & FN_OPF_SINGLE || c < 0x80 ? 1 : (uint16_t)(1 + c % 5), told = count;
    size_t start = s.out.n;
    if (s.sent_n == FN_COUNT(s.sent)) return;
    struct sent *r = &s.sent[s.sent_n];
    *r = (struct sent){.op = op, .must_fail = true};
    if (c == 0xff) told = FN_DEVICE_VECTOR_MOST + 1;
    if (c == 0xfe) told = 0;
    if (c == 0xfd) told = FN_DEVICE_VECTOR_MOST;
    uint8_t which = u8();
    if (which >= 0x80 && s.sessions_n)
        r->session = s.sessions[which % (s.sessions_n < POOL ? s.sessions_n : POOL)];
    if (which >= 0x40 && which < 0x44) r->session = which;
    uint8_t id = u8();
    if (id < 0x10)
        r->id[0] = id; /* a replay, perhaps of something else */
    else
        fn_put_be64(r->id + 8, ++fresh_id);
    put32(0);
    must(fn_buf_u16(&s.out, op->number), "memory");
    must(fn_buf_u16(&s.out, told), "memory");
    put32(r->session);
    put(r->id, 16);
    for (uint16_t i = 0; i < count; i++) {
        bool forbidden = false;
        for (size_t f = 0; op->request[f]; f++) forbidden |= field(op, f, r);
        r->must_fail &= forbidden;
    }
    if (id < 0x10) r->must_fail = false;
    if (s.out.n - start - 4 > FN_DEVICE_FRAME_MOST) {
        s.out.n = start;
        return;
    }
    fn_put_be32(s.out.p + start, (uint32_t)(s.out.n - start - 4));
    s.sent_n++;
}

/* ---- answers ---- */

static void keep_var(struct fn_bytes v)
{
    if (!v.n || v.n > KEEP_MOST) return;
    struct kept *k = &s.vars[s.vars_n++ % POOL];
    memcpy(k->b, v.p, v.n);
    k->n = v.n;
}

static void learn(const struct sent *r, struct fn_cur *c)
{
    const struct fn_operation *op = r->op;
    for (size_t f = 0; op->response[f]; f++) {
        struct fn_bytes v;
        uint64_t q;
        uint32_t w;
        uint16_t h;
        switch (op->response[f]) {
        case 'U':
            must(fn_cur_take(c, 16, &v), "answer");
            if (op->number == FN_OP_KEY_NEW || op->number == FN_OP_KEY_IMPORT_WRAPPED) {
                struct known_key *k = &s.keys[s.keys_n++ % POOL];
                *k = (struct known_key){.tenant = tenants[s.client]};
                memcpy(k->uuid.b, v.p, 16);
            }
            break;
        case 'D':
            must(fn_cur_take(c, 32, &v), "answer");
            break;
        case 'Q':
            must(fn_cur_u64(c, &q), "answer");
            if (op->number < FN_OP_SIGN) s.handles[s.handles_n++ % POOL] = q;
            break;
        case 'W':
            must(fn_cur_u32(c, &w), "answer");
            if (op->number == FN_OP_SESSION_OPEN) s.sessions[s.sessions_n++ % POOL] = w;
            break;
        case 'H':
            must(fn_cur_u16(c, &h), "answer");
            break;
        default:
            must(fn_cur_var(c, FN_DEVICE_RESPONSE_MOST, &v), "answer");
            if (op->number == FN_OP_KEY_SEAL_NEW && f == 0 && v.n < KEEP_MOST) {
                size_t at = s.sealed_n++ % 4;
                memcpy(s.sealed[at].b, v.p, v.n);
                s.sealed[at].n = v.n;
                s.sealed_tenant[at] = tenants[s.client];
            } else {
                keep_var(v);
            }
            break;
        }
    }
    if (op->number == FN_OP_KEY_DESTROY)
        for (size_t i = 0; i < s.keys_n && i < POOL; i++)
            if (memcmp(s.keys[i].uuid.b, r->destroys.b, 16) == 0) s.keys[i].destroyed = true;
}

static struct sent *find_sent(const uint8_t id[16], uint16_t operation, uint32_t session)
{
    for (size_t i = 0; i < s.sent_n; i++)
        if (memcmp(s.sent[i].id, id, 16) == 0 && s.sent[i].op && s.sent[i].op->number == operation &&
            s.sent[i].session == session)
            return &s.sent[i];
    return NULL;
}

static void response(const uint8_t *p, size_t n)
{
    struct fn_bytes detail;
    check(n >= 32, "a short response");
    uint16_t operation = fn_get_be16(p), count = fn_get_be16(p + 2);
    uint32_t status = fn_get_be32(p + 24);
    struct sent *r = find_sent(p + 8, operation, fn_get_be32(p + 4));
    struct fn_cur c = fn_cur(fn_bytes(p + 32, n - 32));
    check(status < 10000, "a status that is not one");
    if (status) {
        check(count == 0, "items after a failure");
        must(fn_cur_var(&c, 4096, &detail), "detail");
        must(fn_cur_end(&c), "after the detail");
        if (r) r->op = NULL;
        return;
    }
    check(r || s.wild, "an answer to nothing");
    if (!r) return;
    struct sent was = *r;
    r->op = NULL;
    bool whole = was.op->number != FN_OP_KEY_DESTROY || true;
    for (uint16_t i = 0; i < count; i++) {
        uint32_t item;
        must(fn_cur_u32(&c, &item), "item");
        check(item < 10000, "a status of an item that is not one");
        if (item) continue;
        check(!was.must_fail, was.op->name);
        learn(&was, &c);
    }
    if (whole) must(fn_cur_end(&c), "after the items");
}

static void read_answers(void)
{
    for (;;) {
        ssize_t got = recv(s.fd, s.answer + s.answer_n, sizeof s.answer - s.answer_n, MSG_DONTWAIT);
        if (got <= 0) break;
        s.answer_n += (size_t)got;
        size_t at = 0;
        while (s.answer_n - at >= 4) {
            size_t n = fn_get_be32(s.answer + at);
            check(n <= FN_DEVICE_RESPONSE_MOST, "a long response");
            if (s.answer_n - at - 4 < n) break;
            response(s.answer + at + 4, n);
            at += 4 + n;
        }
        memmove(s.answer, s.answer + at, s.answer_n - at);
        s.answer_n -= at;
    }
}

/* ---- turning ---- */

static bool idle(const struct fn_work *w)
{
    for (const struct fn_conn *c = w->conns; c; c = c->next)
        if (c->outstanding || c->waits || c->out_n > c->out_at) return false;
    return !w->again;
}

static void flush(void)
{
    struct fn_work *w = &device.workers[0];
    size_t at = 0;
    bool gone = false;
    for (unsigned quiet = 0, rounds = 0; quiet < 2; rounds++) {
        check(rounds < 20000, "the worker does not come to rest");
        while (!gone && at < s.out.n) {
            ssize_t n = send(s.fd, s.out.p + at, s.out.n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n < 0 && errno == EPIPE) gone = true;
            if (n <= 0) break;
            at += (size_t)n;
        }
        turn(w, idle(w) ? 0 : 20);
        read_answers();
        quiet = idle(w) && (gone || at == s.out.n) ? quiet + 1 : 0;
    }
    s.out.n = 0;
}

static void hang_up(void)
{
    struct fn_work *w = &device.workers[0];
    if (s.fd < 0) return;
    flush();
    if (w->conns && !s.wild && !w->conns->held_n)
        for (size_t i = 0; i < s.sent_n; i++) check(!s.sent[i].op, "a request without an answer");
    close(s.fd);
    s.fd = -1;
    for (unsigned rounds = 0; w->conns; rounds++) {
        check(rounds < 20000, "a connection does not end");
        turn(w, 20);
    }
    check(atomic_load(&device.sessions) == 0, "sessions left over");
    check(atomic_load(&device.connections) == 0, "connections left over");
}

static void call(unsigned client)
{
    int pair[2];
    struct fn_work *w = &device.workers[0];
    hang_up();
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
    s.fd = pair[0];
    s.client = client;
    s.answer_n = s.sent_n = 0;
    s.handles_n = s.sessions_n = 0;
    s.wild = false;
    atomic_fetch_add(&w->conns_count, 1);
    atomic_fetch_add(&device.connections, 1);
    conn_add(w, &(struct incoming){.fd = pair[1], .uid = 1000 + client});
}

static void manager(void)
{
    static const char *const verbs[] = {
        "status",         "client.list", "key.list",           "kek.create",           "kek.rotate",
        "kek.retire",     "key.destroy", "key.password_reset", "key.import_enveloped", "login.challenge",
        "login",          "logout",      "token.put",          "person.list",          "person.remove",
        "reshare.commit", "log.verify"};
    uint8_t verb = u8(), n = u8();
    if (n > s.in.n) n = (uint8_t)s.in.n;
    flush();
    if (manage(verbs[verb % FN_COUNT(verbs)], fn_bytes(s.in.p, n)) != FN_OK) fn_err_clear();
    s.in = fn_bytes(s.in.p + n, s.in.n - n);
}

static void step(void)
{
    uint8_t what = u8(), n;
    switch (what % 32) {
    case 0: /* bytes as they are */
        n = u8();
        if (n > s.in.n) n = (uint8_t)s.in.n;
        put(s.in.p, n);
        s.in = fn_bytes(s.in.p + n, s.in.n - n);
        s.wild = true;
        break;
    case 1:
        call(what / 32 % FN_COUNT(tenants));
        break;
    case 2:
    case 3:
    case 4:
        flush();
        break;
    case 5:
        manager();
        break;
    case 6: /* half a frame */
        frame();
        if (s.out.n > 3) s.out.n -= 3;
        s.wild = true;
        break;
    case 7: /* a stranger */
        call(0);
        device.workers[0].conns->uid = 4000;
        s.wild = true;
        break;
    default:
        frame();
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (++runs % RUNS_MOST == 0) {
        fn_life_close(&device);
        begin();
    } else if (runs % 256 == 0) {
        fn_dlog_settle(&device);
        fn_change_prune(&device);
    }
    s.in = fn_bytes(data, size);
    s.fd = -1;
    s.vars_n = s.sealed_n = s.keys_n = 0;
    if (!s.out.grow) s.out = fn_buf_heap();
    s.out.n = 0;
    call(0);
    for (unsigned i = 0; s.in.n && i < STEPS_MOST; i++) step();
    hang_up();
    fn_err_clear();
    return 0;
}
