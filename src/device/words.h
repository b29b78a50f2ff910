/* Passphrases of eight generated words, 88 bits: each word is one of 2048, made of two syllables of Pinyin
 * without tone, two letters each ("hamu lidu …"), so that they are quickly typed, spoken and written down. No
 * checksum: a mistyped word is mostly not in the list, and otherwise the passphrase is just wrong. */
#ifndef FN_DEVICE_WORDS_H
#define FN_DEVICE_WORDS_H

#include "crypto/rng/rng.h"

#define FN_WORDS        2048u
#define FN_WORD_TEXT    4u /* letters, without the terminating NUL */
#define FN_PHRASE_WORDS 8u
#define FN_PHRASE_TEXT  39u /* eight words and the spaces between them, without the terminating NUL */

/* Word of an index below 2048, taken modulo that otherwise. Constant time in the index. */
void fn_word(unsigned index, char out[FN_WORD_TEXT + 1]);
/* A new phrase from 11 random bytes. Secret: the caller wipes it. Constant time. What rng returns. */
fn_err fn_phrase_make(const struct fn_rng *rng, char out[FN_PHRASE_TEXT + 1]);
/* Whether the text is a phrase as a person may type it: upper or lower case, words apart or not, between them
 * any of space, tab, hyphen and the ideographic space U+3000. `out` receives the one form that is used for
 * keys: lower case, one space between words. Where the separators stand is treated as public, the letters are
 * not. */
bool fn_phrase_read(struct fn_bytes text, char out[FN_PHRASE_TEXT + 1]);

#endif
