#include "device/words.h"

/* That a text is a phrase is public; the constant-time test, to which the letters are undefined memory,
 * learns it here. */
#ifdef FN_CHECK_CONSTANT_TIME
#include <valgrind/memcheck.h>
#define WORDS_PUBLIC(variable) ((void)VALGRIND_MAKE_MEM_DEFINED(&(variable), sizeof(variable)))
#else
#define WORDS_PUBLIC(variable) ((void)0)
#endif

/* A consonant and a vowel each. Left out are syllables that make rude words in one language or the other. */
static const char first[64][2] = {
    "ba", "bo", "bu", "pa", "pi", "po", "pu", "ma", "mi", "mo", "mu", "fa", "fo", "fu", "da", "de",
    "di", "du", "ta", "te", "ti", "tu", "na", "ne", "ni", "nu", "la", "le", "li", "lu", "ga", "ge",
    "gu", "ka", "ke", "ku", "ha", "he", "hu", "ji", "ju", "qi", "qu", "xi", "xu", "za", "ze", "zi",
    "zu", "ce", "ci", "cu", "sa", "se", "su", "re", "ru", "ya", "ye", "yi", "yu", "wa", "wo", "wu",
};
static const char second[32][2] = {
    "bu", "da", "di", "du", "fa", "fu", "ga", "ge", "gu", "ha", "hu", "ji", "ju", "ka", "ke", "la",
    "li", "lu", "mi", "mo", "mu", "ni", "pu", "qi", "ru", "su", "xi", "ya", "yi", "yu", "wa", "wo",
};

/* All ones when a = b, both below 2^31. */
static uint32_t same(uint32_t a, uint32_t b)
{
    return 0u - (((a ^ b) - 1u) >> 31);
}

/* Every entry is looked at, so that no address depends on the index. */
static void pick(const char (*list)[2], uint32_t count, uint32_t index, char out[2])
{
    uint32_t a = 0, b = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t mask = same(i, index);
        a |= mask & (uint8_t)list[i][0];
        b |= mask & (uint8_t)list[i][1];
    }
    out[0] = (char)a;
    out[1] = (char)b;
}

void fn_word(unsigned index, char out[FN_WORD_TEXT + 1])
{
    pick(first, FN_COUNT(first), index >> 5 & 63, out);
    pick(second, FN_COUNT(second), index & 31, out + 2);
    out[FN_WORD_TEXT] = 0;
}

fn_err fn_phrase_make(const struct fn_rng *rng, char out[FN_PHRASE_TEXT + 1])
{
    uint8_t random[FN_PHRASE_WORDS * 11 / 8];
    FN_SCOPED_WIPE(random);
    FN_TRY(fn_rng_fill(rng, random, sizeof random));
    uint32_t bits = 0;
    unsigned held = 0, next = 0;
    for (unsigned i = 0; i < FN_PHRASE_WORDS; i++, held -= 11) {
        for (; held < 11; held += 8) bits = bits << 8 | random[next++];
        fn_word(bits >> (held - 11) & (FN_WORDS - 1), out + i * (FN_WORD_TEXT + 1));
        out[i * (FN_WORD_TEXT + 1) + FN_WORD_TEXT] = ' ';
    }
    fn_wipe(&bits, sizeof bits);
    out[FN_PHRASE_TEXT] = 0;
    return FN_OK;
}

/* Bytes of the separator at p, 0 when there is none. */
static size_t separator(const uint8_t *p, size_t left)
{
    uint32_t narrow = same(p[0], ' ') | same(p[0], '\t') | same(p[0], '-');
    uint32_t wide = left < 3 ? 0 : same(p[0], 0xe3) & same(p[1], 0x80) & same(p[2], 0x80);
    size_t n = (narrow & 1) | (wide & 3);
    WORDS_PUBLIC(n);
    return n;
}

static uint32_t known(const char (*list)[2], uint32_t count, const char at[2])
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found |= same((uint8_t)at[0], (uint8_t)list[i][0]) & same((uint8_t)at[1], (uint8_t)list[i][1]);
    return found;
}

bool fn_phrase_read(struct fn_bytes text, char out[FN_PHRASE_TEXT + 1])
{
    char letters[FN_PHRASE_WORDS * FN_WORD_TEXT];
    FN_SCOPED_WIPE(letters);
    size_t n = 0;
    for (size_t i = 0; i < text.n;) {
        size_t skip = separator(text.p + i, text.n - i);
        if (skip == 0 && n == sizeof letters) return false;
        if (skip == 0) letters[n++] = (char)(text.p[i] | 0x20);
        i += skip ? skip : 1;
    }
    if (n != sizeof letters) return false;
    uint32_t good = ~0u;
    for (size_t i = 0; i < FN_PHRASE_WORDS; i++) {
        const char *word = letters + i * FN_WORD_TEXT;
        good &= known(first, FN_COUNT(first), word) & known(second, FN_COUNT(second), word + 2);
    }
    WORDS_PUBLIC(good);
    if (!good) return false;
    for (size_t i = 0; i < FN_PHRASE_WORDS; i++) {
        memcpy(out + i * (FN_WORD_TEXT + 1), letters + i * FN_WORD_TEXT, FN_WORD_TEXT);
        out[i * (FN_WORD_TEXT + 1) + FN_WORD_TEXT] = ' ';
    }
    out[FN_PHRASE_TEXT] = 0;
    return true;
}
