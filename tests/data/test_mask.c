/* Masking rules: what is shown of each kind of value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sys/heap.h"
#include "data/mask.h"
#include <string.h>

static void expect(const char *column, const char *value, const char *want)
{
    struct fn_buf out = fn_buf_heap();
    assert_int_equal(fn_mask(&out, column, fn_bytes(value, strlen(value))), FN_OK);
    assert_int_equal(fn_buf_u8(&out, 0), FN_OK);
    assert_string_equal((char *)out.p, want);
    fn_buf_free(&out);
}

static void rules(void **state)
{
    (void)state;
    expect("id_card", "11010519491231002X", "110***********002X");
    expect("uscc", "91350100M000100Y43", "913***********0Y43");
    expect("id_card", "110105491231002", "110********1002");
    expect("phone", "13812345678", "138****5678");
    expect("phone", "62345678", "6*****78");
    expect("card", "6222020200112233445", "622************3445");
    expect("mail", "zhangsan@example.cn", "z***@example.cn");
    expect("x", "张三", "张*");
    expect("x", "欧阳某某", "欧***");
    expect("applyer_name", "Li", "L*");
    expect("name", "王", "*");
    expect("address", "北京市朝阳区建国门外大街1号", "北京市***");
    expect("x", "short", "s***");
    expect("x", "ab", "***");
    expect("x", "1", "***");
    expect("x", "", "");
    expect("zip", "100000", "1***");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
