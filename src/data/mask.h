/* Masking of personal data for display: enough is left to tell rows apart, not to know the person. */
#ifndef FN_DATA_MASK_H
#define FN_DATA_MASK_H

#include "base/core/bytes.h"

/* Appends the masked form of a value. The rule follows the value and, where that does not tell, the column's
 * name: citizen number, credit code (15 or 18 letters and digits)  first 3, last 4:     110***********002X
 *   mobile and other numbers of 7 or more digits               first 3, last 4 (fewer for short ones)
 *   e-mail                                                     first character:     z***@example.cn
 *   name (column, or 2 to 4 Chinese characters)                first character:     张*
 *   anything else                                              first quarter, at most 6 characters, then ***
 */
fn_err fn_mask(struct fn_buf *out, const char *column, struct fn_bytes value);

#endif
