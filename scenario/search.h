/* Looks for clear values in files: the proof that only ciphertext was stored. */
#ifndef SCENARIO_SEARCH_H
#define SCENARIO_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FORM_UTF8, FORM_UTF16LE, FORM_GB18030, FORM_HEX, FORM_BASE64, FORM_COUNT };
extern const char *const form_names[FORM_COUNT];

struct search;
struct search *search_new(void);
void search_free(struct search *s);
/* Adds a value (UTF-8, 4 bytes or more; shorter ones are ignored) in all forms. Doubles are added once.
 * Forms of under 48 bits of content (a two-character name in GB18030, a year) turn up in ciphertext by
 * chance; each of them is joined by four decoys of the same shape, and only a surplus over the decoys counts.
 * Returns 0, or -1 out of memory. */
int search_add(struct search *s, const char *value);
/* After the last value. */
int search_prepare(struct search *s);

/* Text that is stored in clear on purpose (a column the user left clear): values that stand in it are no
 * longer looked for. Returns how many values that took out. */
uint64_t search_leave_out(struct search *s, const char *text);
/* The same with every file below path: words that stood there before anything was written. Adds to *count.
 * Returns 0, or -1 with errno. */
int search_leave_out_path(struct search *s, const char *path, uint64_t *count);

/* A file that is not looked at: the input itself, should it lie there. */
void search_skip(struct search *s, uint64_t device, uint64_t inode);

/* The control: writes these values to a file in every form in which they are looked for. Hits in that file
 * count for the control alone. Returns 0, or -1 with errno. */
int search_plant(struct search *s, const char *path, const char *const *values, size_t count);
/* After a search over that file: pairs of value and form that were planted, and those that were not found. */
void search_control(const struct search *s, uint64_t *planted, uint64_t *missed);

struct search_result {
    uint64_t files, bytes;
    uint64_t values_found;           /* distinct values of at least 48 bits, in any form */
    uint64_t short_hits, decoy_hits; /* occurrences of short forms and of their decoys (four to one) */
    char first[512];                 /* where the first was found: file, offset, form; never the value */
};
/* Every file below path (a file or a directory; symbolic links are not followed). Returns 0, or -1 with
 * errno. */
int search_path(struct search *s, const char *path, struct search_result *result);
/* Forgets what was found. */
void search_again(struct search *s);
uint64_t search_values(const struct search *s);

#endif
