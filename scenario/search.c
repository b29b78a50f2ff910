#include "search.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const form_names[FORM_COUNT] = {"UTF-8", "UTF-16LE", "GB18030", "hex", "base64"};

#define VALUE_LEAST  4
#define CERTAIN_BITS 48
#define DECOYS       4

struct pattern {
    uint8_t *p;
    uint32_t n;
    uint32_t value;     /* its value's number; UINT32_MAX for a decoy */
    uint8_t form, mark; /* mark: the form's bit for the control; base64 has one for each place in a group */
    bool is_short;
    uint32_t anchor; /* where in the pattern the bytes stand by which it is looked up */
    uint32_t next;   /* chain of patterns of one bucket, as index + 1 */
};

struct search {
    struct pattern *patterns;
    size_t count, room;
    uint32_t values;
    bool *found, *left_out;       /* by value */
    uint8_t *planted, *recovered; /* by value: forms in the control file, forms found there */
    uint8_t shift;                /* place in a group of the base64 patterns being added */
    char control[4096];           /* path of the control file */
    uint64_t skip_device, skip_inode;
    uint32_t *buckets[2]; /* patterns of under 8 bytes by their first 4, others by 8 bytes at their anchor */
    uint32_t mask;
    uint64_t random;
    iconv_t to_utf16, to_gb18030;
    struct seen {
        char *value;
        uint32_t number;
    } * seen; /* open-addressed set of values */
    size_t seen_room;
};

static uint32_t hash4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v * 2654435761u ^ v >> 15;
}

static uint32_t hash8(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return (uint32_t)((v * 0x9e3779b97f4a7c15u) >> 32);
}

static uint64_t hash_text(const char *text)
{
    uint64_t h = 1469598103934665603u;
    for (; *text; text++) h = (h ^ (uint8_t)*text) * 1099511628211u;
    return h;
}

struct search *search_new(void)
{
    struct search *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->random = 88172645463325252u;
    s->to_utf16 = iconv_open("UTF-16LE", "UTF-8");
    s->to_gb18030 = iconv_open("GB18030", "UTF-8");
    return s;
}

void search_free(struct search *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) free(s->patterns[i].p);
    for (size_t i = 0; i < s->seen_room; i++) free(s->seen[i].value);
    if (s->to_utf16 != (iconv_t)-1) iconv_close(s->to_utf16);
    if (s->to_gb18030 != (iconv_t)-1) iconv_close(s->to_gb18030);
    free(s->patterns);
    free(s->seen);
    free(s->found);
    free(s->left_out);
    free(s->planted);
    free(s->recovered);
    free(s->buckets[0]);
    free(s->buckets[1]);
    free(s);
}

/* Where the value is or would be. */
static struct seen *place(struct seen *seen, size_t room, const char *value)
{
    size_t at = hash_text(value) & (room - 1);
    while (seen[at].value && strcmp(seen[at].value, value) != 0) at = (at + 1) & (room - 1);
    return &seen[at];
}

/* False when it was there already; -1 out of memory through *err. */
static bool remember(struct search *s, const char *value, int *err)
{
    if (s->seen_room <= (size_t)s->values * 2) {
        size_t room = s->seen_room ? s->seen_room * 2 : 1024;
        struct seen *seen = calloc(room, sizeof *seen);
        if (!seen) return *err = -1, false;
        for (size_t i = 0; i < s->seen_room; i++)
            if (s->seen[i].value) *place(seen, room, s->seen[i].value) = s->seen[i];
        free(s->seen);
        s->seen = seen;
        s->seen_room = room;
    }
    struct seen *at = place(s->seen, s->seen_room, value);
    if (at->value) return false;
    *at = (struct seen){strdup(value), s->values};
    if (!at->value) *err = -1;
    return true;
}

static int add_pattern(struct search *s, const uint8_t *p, size_t n, uint32_t value, int form, bool is_short)
{
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 4096;
        struct pattern *grown = realloc(s->patterns, room * sizeof *grown);
        if (!grown) return -1;
        s->patterns = grown;
        s->room = room;
    }
    uint8_t *copy = malloc(n);
    if (!copy) return -1;
    memcpy(copy, p, n);
    s->patterns[s->count++] =
        (struct pattern){copy, (uint32_t)n, value, (uint8_t)form, (uint8_t)(form + s->shift), is_short, 0, 0};
    return 0;
}

static uint32_t chance(struct search *s, uint32_t n)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (uint32_t)(s->random >> 33) % n;
}

/* A random string in which every byte is of the kind that stands there. */
static void decoy(struct search *s, const uint8_t *p, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        if (c >= '0' && c <= '9')
            out[i] = (uint8_t)('0' + chance(s, 10));
        else if (c >= 'a' && c <= 'z')
            out[i] = (uint8_t)('a' + chance(s, 26));
        else if (c >= 'A' && c <= 'Z')
            out[i] = (uint8_t)('A' + chance(s, 26));
        else if (c >= 0x80)
            out[i] = (uint8_t)(0x80 + chance(s, 128));
        else
            out[i] = c;
    }
}

static int add_form(struct search *s, const uint8_t *p, size_t n, uint32_t value, int form)
{
    if (n < VALUE_LEAST) return 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) bits += p[i] >= 0x80 ? 8 : p[i] >= 0x20 ? 6 : 2;
    bool is_short = bits < CERTAIN_BITS;
    if (add_pattern(s, p, n, value, form, is_short)) return -1;
    uint8_t fake[64];
    for (int i = 0; is_short && n <= sizeof fake && i < DECOYS; i++) {
        decoy(s, p, n, fake);
        if (add_pattern(s, fake, n, UINT32_MAX, form, true)) return -1;
    }
    return 0;
}

static int add_converted(struct search *s, iconv_t to, const char *value, uint32_t number, int form)
{
    char out[2048], *o = out, *in = (char *)(uintptr_t)value;
    size_t left = strlen(value), room = sizeof out;
    if (to == (iconv_t)-1 || iconv(to, &in, &left, &o, &room) == (size_t)-1) {
        if (to != (iconv_t)-1) iconv(to, NULL, NULL, NULL, NULL);
        return 0; /* longer than 1 KiB or not representable: the other forms stand for it */
    }
    return add_form(s, (uint8_t *)out, sizeof out - room, number, form);
}

/* A value inside a longer base64 stream starts at one of three bit positions; of each only the characters
 * that depend on the value alone can be looked for. */
static int add_base64(struct search *s, const char *value, uint32_t number)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(value);
    if (n > 768) n = 768;
    for (unsigned shift = 0; shift < 3; shift++) {
        uint8_t bytes[771] = {0}, url[1032];
        char text[1032];
        memcpy(bytes + shift, value, n);
        size_t whole = (n + shift) * 8 / 6, first = shift == 0 ? 0 : shift == 1 ? 2 : 3;
        for (size_t i = 0; i < whole; i++) {
            unsigned bit = (unsigned)i * 6, v = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
            text[i] = alphabet[v >> (10 - bit % 8) & 63];
        }
        if (whole <= first) continue;
        s->shift = (uint8_t)shift;
        if (add_form(s, (uint8_t *)text + first, whole - first, number, FORM_BASE64)) return -1;
        bool differs = false;
        for (size_t i = first; i < whole; i++) {
            url[i - first] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (uint8_t)text[i];
            differs |= url[i - first] != (uint8_t)text[i];
        }
        if (differs && add_form(s, url, whole - first, number, FORM_BASE64)) return -1;
    }
    s->shift = 0;
    return 0;
}

static int add_hex(struct search *s, const char *value, uint32_t number)
{
    char lower[1025], upper[1025];
    size_t n = strlen(value);
    if (n > 512) n = 512;
    bool differs = false;
    for (size_t i = 0; i < n; i++) {
        snprintf(lower + 2 * i, 3, "%02x", (uint8_t)value[i]);
        snprintf(upper + 2 * i, 3, "%02X", (uint8_t)value[i]);
        differs |= memcmp(lower + 2 * i, upper + 2 * i, 2) != 0;
    }
    if (add_form(s, (uint8_t *)lower, 2 * n, number, FORM_HEX)) return -1;
    return differs ? add_form(s, (uint8_t *)upper, 2 * n, number, FORM_HEX) : 0;
}

int search_add(struct search *s, const char *value)
{
    size_t n = strlen(value);
    int err = 0;
    if (n < VALUE_LEAST || !remember(s, value, &err) || err) return err;
    uint32_t number = s->values++;
    if (add_form(s, (const uint8_t *)value, n, number, FORM_UTF8)) return -1;
    if (add_converted(s, s->to_utf16, value, number, FORM_UTF16LE)) return -1;
    bool ascii = true;
    for (size_t i = 0; i < n; i++) ascii &= (uint8_t)value[i] < 0x80;
    if (!ascii && add_converted(s, s->to_gb18030, value, number, FORM_GB18030)) return -1;
    return add_hex(s, value, number) || add_base64(s, value, number) ? -1 : 0;
}

/* Addresses begin alike and company names end alike, so that one bucket would hold thousands: of three places
 * in a pattern the one whose eight bytes are the rarest among all patterns becomes its anchor. */
static void choose_anchors(struct search *s, uint32_t *count)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < s->count; i++) {
            struct pattern *p = &s->patterns[i];
            if (p->n < 8) continue;
            uint32_t places[3] = {p->n - 8, (p->n - 8) / 2, 0};
            for (int k = 0; k < 3; k++) {
                uint32_t *here = &count[hash8(p->p + places[k]) & s->mask];
                if (pass == 0)
                    ++*here;
                else if (k == 0 || *here < count[hash8(p->p + p->anchor) & s->mask])
                    p->anchor = places[k];
            }
        }
}

int search_prepare(struct search *s)
{
    uint32_t size = 1024;
    while (size < s->count * 4) size *= 2;
    s->mask = size - 1;
    free(s->buckets[0]);
    free(s->buckets[1]);
    free(s->found);
    free(s->left_out);
    free(s->planted);
    free(s->recovered);
    s->buckets[0] = calloc(size, sizeof **s->buckets);
    s->buckets[1] = calloc(size, sizeof **s->buckets);
    s->found = calloc(s->values + 1, sizeof *s->found);
    s->left_out = calloc(s->values + 1, sizeof *s->left_out);
    s->planted = calloc(s->values + 1, sizeof *s->planted);
    s->recovered = calloc(s->values + 1, sizeof *s->recovered);
    if (!s->buckets[0] || !s->buckets[1] || !s->found || !s->left_out || !s->planted || !s->recovered)
        return -1;
    choose_anchors(s, s->buckets[1]);
    memset(s->buckets[1], 0, size * sizeof **s->buckets);
    for (size_t i = 0; i < s->count; i++) {
        struct pattern *p = &s->patterns[i];
        uint32_t *bucket = p->n < 8 ? &s->buckets[0][hash4(p->p) & s->mask]
                                    : &s->buckets[1][hash8(p->p + p->anchor) & s->mask];
        p->next = *bucket;
        *bucket = (uint32_t)i + 1;
    }
    return 0;
}

uint64_t search_values(const struct search *s)
{
    return s->values;
}

typedef void on_hit(struct search *s, const struct pattern *pattern, size_t offset, void *context);

static void scan(struct search *s, const uint8_t *p, size_t n, on_hit *hit, void *context)
{
    for (size_t i = 0; i + VALUE_LEAST <= n; i++) {
        uint32_t chains[2] = {s->buckets[0][hash4(p + i) & s->mask],
                              i + 8 <= n ? s->buckets[1][hash8(p + i) & s->mask] : 0};
        for (int k = 0; k < 2; k++)
            for (uint32_t at = chains[k]; at; at = s->patterns[at - 1].next) {
                const struct pattern *pattern = &s->patterns[at - 1];
                if (pattern->anchor > i || pattern->n > n - i + pattern->anchor) continue;
                if (memcmp(pattern->p, p + i - pattern->anchor, pattern->n) == 0)
                    hit(s, pattern, i - pattern->anchor, context);
            }
    }
}

static void leave_out(struct search *s, const struct pattern *pattern, size_t offset, void *context)
{
    (void)offset;
    if (pattern->value == UINT32_MAX || s->left_out[pattern->value]) return;
    s->left_out[pattern->value] = true;
    ++*(uint64_t *)context;
}

uint64_t search_leave_out(struct search *s, const char *text)
{
    uint64_t count = 0;
    scan(s, (const uint8_t *)text, strlen(text), leave_out, &count);
    return count;
}

struct file_hits {
    const char *path;
    struct search_result *result;
};

static void file_hit(struct search *s, const struct pattern *pattern, size_t offset, void *context)
{
    const struct file_hits *f = context;
    struct search_result *r = f->result;
    uint32_t value = pattern->value;
    if (strcmp(f->path, s->control) == 0) {
        if (value != UINT32_MAX) s->recovered[value] |= (uint8_t)(1u << pattern->mark);
        return;
    }
    if (value == UINT32_MAX) {
        r->decoy_hits++;
        return;
    }
    if (s->left_out[value]) return;
    if (pattern->is_short) {
        r->short_hits++;
        return;
    }
    if (s->found[value]) return;
    s->found[value] = true;
    if (!r->values_found++)
        snprintf(r->first, sizeof r->first, "%s @ %zu (%s)", f->path, offset, form_names[pattern->form]);
}

/* A file read into memory; NULL with *n 0 for what is no file or is to be skipped. Not mapped: a file that
 * another process shortens meanwhile must not end us. */
static int load(const struct search *s, const char *path, uint8_t **p, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *p = NULL;
    *n = 0;
    if (fd < 0) return -1;
    if (fstat(fd, &st)) return close(fd), -1;
    bool skip = s->skip_inode && st.st_dev == s->skip_device && st.st_ino == s->skip_inode;
    if (!S_ISREG(st.st_mode) || skip) return close(fd), 0;
    size_t size = (size_t)st.st_size;
    *p = malloc(size + 1);
    ssize_t got = *p ? 1 : -1;
    while (*n < size && got > 0 && (got = read(fd, *p + *n, size - *n)) > 0) *n += (size_t)got;
    close(fd);
    if (got >= 0) return 0;
    free(*p);
    return *p = NULL, -1;
}

/* Calls `each` with every file below path. */
typedef int on_file(struct search *s, const char *path, void *context);
static int walk(struct search *s, const char *path, on_file *each, void *context)
{
    struct stat st;
    if (lstat(path, &st)) return -1;
    if (S_ISREG(st.st_mode)) return each(s, path, context);
    if (!S_ISDIR(st.st_mode)) return 0; /* sockets, pipes, links hold no content of their own */
    DIR *directory = opendir(path);
    if (!directory) return -1;
    int err = 0;
    for (struct dirent *e; !err && (e = readdir(directory));) {
        char below[4096];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below) {
            err = -1;
            errno = ENAMETOOLONG;
            break;
        }
        err = walk(s, below, each, context);
        if (err && errno == ENOENT) err = 0; /* went away while we looked: temporary files */
    }
    closedir(directory);
    return err;
}

static int search_file(struct search *s, const char *path, void *context)
{
    struct search_result *r = context;
    uint8_t *p;
    size_t n;
    if (load(s, path, &p, &n)) return -1;
    if (!p) return 0;
    r->files++;
    r->bytes += n;
    scan(s, p, n, file_hit, &(struct file_hits){path, r});
    free(p);
    return 0;
}

int search_path(struct search *s, const char *path, struct search_result *r)
{
    return walk(s, path, search_file, r);
}

static int leave_file_out(struct search *s, const char *path, void *context)
{
    uint8_t *p;
    size_t n;
    if (load(s, path, &p, &n)) return -1;
    if (p) scan(s, p, n, leave_out, context);
    free(p);
    return 0;
}

int search_leave_out_path(struct search *s, const char *path, uint64_t *count)
{
    return walk(s, path, leave_file_out, count);
}

void search_again(struct search *s)
{
    memset(s->found, 0, (s->values + 1) * sizeof *s->found);
}

void search_skip(struct search *s, uint64_t device, uint64_t inode)
{
    s->skip_device = device;
    s->skip_inode = inode;
}

/* False when it is not searched for in this form: longer than 1 KiB, or not representable. */
static bool plant_converted(FILE *out, iconv_t to, const char *value)
{
    char text[2048], *o = text, *in = (char *)(uintptr_t)value;
    size_t left = strlen(value), room = sizeof text;
    if (to == (iconv_t)-1 || iconv(to, &in, &left, &o, &room) == (size_t)-1) return false;
    fwrite(text, 1, sizeof text - room, out);
    fputs("\n\n", out);
    return true;
}

/* Written independently of the patterns, at each of the three places in a group of three bytes. */
static void plant_base64(FILE *out, const char *value)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t n = strlen(value);
    for (size_t shift = 0; shift < 3; shift++) {
        for (size_t i = 0; i < n + shift; i += 3) {
            uint32_t group = 0;
            for (size_t k = i; k < i + 3; k++)
                group = group << 8 | (k < shift || k - shift >= n ? 0 : (uint8_t)value[k - shift]);
            for (int bit = 18; bit >= 0; bit -= 6) fputc(alphabet[group >> bit & 63], out);
        }
        fputc('\n', out);
    }
}

static uint8_t plant_value(struct search *s, FILE *out, const char *value)
{
    uint8_t forms = 1u << FORM_UTF8 | 1u << FORM_HEX | 7u << FORM_BASE64;
    bool ascii = true;
    for (const char *c = value; *c; c++) ascii &= (uint8_t)*c < 0x80;
    fprintf(out, "%s\n", value);
    if (plant_converted(out, s->to_utf16, value)) forms |= 1u << FORM_UTF16LE;
    if (!ascii && plant_converted(out, s->to_gb18030, value)) forms |= 1u << FORM_GB18030;
    for (const char *c = value; *c; c++) fprintf(out, "%02x", (uint8_t)*c);
    fputc('\n', out);
    plant_base64(out, value);
    return forms;
}

int search_plant(struct search *s, const char *path, const char *const *values, size_t count)
{
    FILE *out = fopen(path, "we");
    if (!out) return -1;
    snprintf(s->control, sizeof s->control, "%s", path);
    for (size_t v = 0; v < count; v++) {
        if (strlen(values[v]) < VALUE_LEAST) continue;
        const struct seen *at = place(s->seen, s->seen_room, values[v]);
        if (at->value) s->planted[at->number] = plant_value(s, out, values[v]);
    }
    return fclose(out) ? -1 : 0;
}

void search_control(const struct search *s, uint64_t *planted, uint64_t *missed)
{
    *planted = *missed = 0;
    for (uint32_t i = 0; i < s->values; i++) {
        *planted += (uint64_t)__builtin_popcount(s->planted[i]);
        *missed += (uint64_t)__builtin_popcount((unsigned)s->planted[i] & ~(unsigned)s->recovered[i]);
    }
}
