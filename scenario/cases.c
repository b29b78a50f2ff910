#include "cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const case_columns[CASE_COLUMNS] = {
    "project_no",        "task_code",         "task_name",         "project_name", "applyer_name",
    "applyer_type",      "applyer_page_type", "applyer_page_code", "legal_man",    "contact_name",
    "contact_page_type", "contact_page_code", "contact_mobile",    "address",      "zip_code",
    "apply_date",        "accept_date",       "promise_date",      "case_type",    "org_code",
    "org_name",          "region_code",
};
enum {
    PROJECT_NO,
    TASK_CODE,
    TASK_NAME,
    PROJECT_NAME,
    APPLYER_NAME,
    APPLYER_TYPE,
    APPLYER_PAGE_TYPE,
    APPLYER_PAGE_CODE,
    LEGAL_MAN,
    CONTACT_NAME,
    CONTACT_PAGE_TYPE,
    CONTACT_PAGE_CODE,
    CONTACT_MOBILE,
    ADDRESS,
    ZIP_CODE,
    APPLY_DATE,
    ACCEPT_DATE,
    PROMISE_DATE,
    CASE_TYPE,
    ORG_CODE,
    ORG_NAME,
    REGION_CODE,
};
const char *const case_protected[] = {"applyer_name",      "applyer_page_code", "legal_man", "contact_name",
                                      "contact_page_code", "contact_mobile",    "address"};
const size_t case_protected_count = sizeof case_protected / sizeof case_protected[0];

/* A stream of its own for each case, so that any case can be made without those before it (splitmix64). */
struct stream {
    uint64_t state;
};

static uint64_t next(struct stream *s)
{
    uint64_t z = s->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static unsigned below(struct stream *s, unsigned n)
{
    return (unsigned)(next(s) >> 32) % n;
}
#define PICK(s, array) ((array)[below((s), sizeof(array) / sizeof(array)[0])])

struct region {
    const char *code, *province, *city, *district, *zip;
};
static const struct region regions[] = {
    {"110105", "北京市", "", "朝阳区", "100020"},       {"310115", "上海市", "", "浦东新区", "200120"},
    {"330106", "浙江省", "杭州市", "西湖区", "310012"}, {"440305", "广东省", "深圳市", "南山区", "518052"},
    {"510107", "四川省", "成都市", "武侯区", "610041"}, {"430102", "湖南省", "长沙市", "芙蓉区", "410011"},
    {"350203", "福建省", "厦门市", "思明区", "361001"}, {"340104", "安徽省", "合肥市", "蜀山区", "230031"},
    {"370102", "山东省", "济南市", "历下区", "250014"}, {"610113", "陕西省", "西安市", "雁塔区", "710061"},
    {"420106", "湖北省", "武汉市", "武昌区", "430061"}, {"320102", "江苏省", "南京市", "玄武区", "210018"},
};

struct task {
    const char *name, *type, *industry, *item, *org; /* item type (A.1), department, main item */
};
static const struct task tasks[] = {
    {"食品经营许可", "01", "31", "001", "市场监督管理局"},
    {"公共场所卫生许可", "01", "23", "003", "卫生健康委员会"},
    {"建设工程规划许可证核发", "01", "15", "022", "自然资源和规划局"},
    {"企业职工基本养老保险参保登记", "20", "14", "011", "人力资源和社会保障局"},
    {"不动产转移登记", "07", "15", "040", "自然资源和规划局"},
    {"居住证申领", "07", "09", "017", "公安局"},
    {"取水许可", "01", "19", "005", "水利局"},
    {"临时救助对象认定", "05", "11", "008", "民政局"},
    {"出版物零售单位设立审批", "01", "56", "009", "新闻出版局"},
    {"高新技术企业认定", "07", "06", "002", "科学技术局"},
};

static const char *const surnames[] = {"王", "李", "张", "刘", "陈", "杨",   "黄",   "赵",  "吴", "周",
                                       "徐", "孙", "马", "朱", "胡", "郭",   "何",   "高",  "林", "罗",
                                       "郑", "梁", "谢", "宋", "唐", "欧阳", "司马", "诸葛"};
static const char *const given[] = {"伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳",
                                    "杰", "娟", "涛", "明", "超", "秀", "霞", "平", "刚", "桂", "英", "华",
                                    "玉", "萍", "红", "鑫", "浩", "宇", "晨", "璐", "婷", "雪", "倩", "航",
                                    "博", "文", "思", "嘉", "子", "梓", "涵", "轩", "睿", "琪", "欣", "怡"};
static const char *const roads[] = {"人民路", "建设大道",   "解放东路", "中山北路",
                                    "文昌街", "科技园南路", "学府路",   "滨江大道"};
static const char *const trades[] = {"餐饮管理", "信息技术", "建筑工程", "生物科技",
                                     "物流",     "文化传播", "新能源",   "医疗器械"};
static const char *const styles[] = {"恒信", "华远", "瑞丰", "金桥", "天成",
                                     "同创", "博雅", "安泰", "中孚", "万邦"};

static void print(char out[CASE_FIELD_MOST], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(char out[CASE_FIELD_MOST], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, CASE_FIELD_MOST, format, args);
    va_end(args);
}

/* ISO 7064 MOD 11-2 as GB 11643 writes it. */
char citizen_check_digit(const char *text17)
{
    static const int weights[17] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    int sum = 0;
    for (int i = 0; i < 17; i++) sum += weights[i] * (text17[i] - '0');
    return "10X98765432"[sum % 11];
}

/* GB 32100-2015: 31 characters, weights 3^i mod 31. */
char credit_code_check_digit(const char *text17)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    int sum = 0, weight = 1;
    for (int i = 0; i < 17; i++) {
        const char *at = strchr(alphabet, text17[i]);
        sum += weight * (int)(at - alphabet);
        weight = weight * 3 % 31;
    }
    return alphabet[(31 - sum % 31) % 31];
}

/* GB 11714: the nine-character organisation code inside the credit code has a check digit of its own. */
static char organisation_check_digit(const char *text8)
{
    static const int weights[8] = {3, 7, 9, 10, 5, 8, 4, 2};
    int sum = 0;
    for (int i = 0; i < 8; i++) {
        char c = text8[i];
        sum += weights[i] * (c <= '9' ? c - '0' : c - 'A' + 10);
    }
    int check = 11 - sum % 11;
    return check == 10 ? 'X' : check == 11 ? '0' : (char)('0' + check);
}

static void credit_code(struct stream *s, const char *kind, const char *region, char out[CASE_FIELD_MOST])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    char organisation[9];
    organisation[0] = 'M';
    organisation[1] = 'A';
    for (int i = 2; i < 8; i++) organisation[i] = alphabet[below(s, 31)];
    organisation[8] = 0;
    print(out, "%s%s%s%c", kind, region, organisation, organisation_check_digit(organisation));
    out[17] = credit_code_check_digit(out);
    out[18] = 0;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29 : days[month - 1];
}

static void citizen_number(struct stream *s, char out[CASE_FIELD_MOST])
{
    int year = 1950 + (int)below(s, 55), month = 1 + (int)below(s, 12);
    int day = 1 + (int)below(s, (unsigned)days_in_month(year, month));
    print(out, "%s%04d%02d%02d%03u", PICK(s, regions).code, year, month, day, 1 + below(s, 999));
    out[17] = citizen_check_digit(out);
    out[18] = 0;
}

/* Three characters at least: two-character names are four bytes in GB18030, and four bytes turn up by chance
 * in megabytes of ciphertext, so a search for clear values could not tell. */
static void person(struct stream *s, char out[CASE_FIELD_MOST])
{
    const char *surname = PICK(s, surnames), *first = PICK(s, given);
    print(out, "%s%s%s", surname, first, PICK(s, given));
}

/* One body for each region and department, however many cases it handles. */
static struct stream body_stream(const struct region *region, const struct task *task)
{
    struct stream s = {0};
    for (const char *c = region->code; *c; c++) s.state = s.state * 31 + (unsigned char)*c;
    for (const char *c = task->org; *c; c++) s.state = s.state * 31 + (unsigned char)*c;
    return s;
}

/* A date `after` days after 2024-01-01, within 2024 to 2026. */
static void date(char out[CASE_FIELD_MOST], unsigned after)
{
    int year = 2024, month = 1;
    unsigned day = after;
    while (day >= (unsigned)days_in_month(year, month)) {
        day -= (unsigned)days_in_month(year, month);
        if (++month > 12) month = 1, year++;
    }
    print(out, "%04d%02d%02u", year, month, day + 1);
}

void case_make(uint64_t seed, uint64_t n, struct case_row *row)
{
    struct stream stream = {seed * 0x2545f4914f6cdd1du + n}, *s = &stream;
    (void)next(s);
    const struct region *region = &regions[below(s, sizeof regions / sizeof regions[0])];
    const struct task *task = &tasks[below(s, sizeof tasks / sizeof tasks[0])];
    struct stream body = body_stream(region, task);
    char(*f)[CASE_FIELD_MOST] = row->field;
    memset(row, 0, sizeof *row);

    credit_code(&body, "11", region->code, f[ORG_CODE]);
    print(f[ORG_NAME], "%s%s%s", region->city[0] ? region->city : region->province, region->district,
          task->org);
    print(f[REGION_CODE], "%s", region->code);
    /* Implementation code (31): implementing body 18, exercise level 1 (4 = county), basic code 12. */
    print(f[TASK_CODE], "%s4%.2s%s%s%s000", f[ORG_CODE], region->code, task->type, task->industry,
          task->item);
    print(f[TASK_NAME], "%s", task->name);
    unsigned applied = below(s, 700);
    date(f[APPLY_DATE], applied);
    date(f[ACCEPT_DATE], applied + 1 + below(s, 5));
    date(f[PROMISE_DATE], applied + 10 + below(s, 20));
    print(f[PROJECT_NO], "%s%s%04llu", f[TASK_CODE], f[APPLY_DATE], (unsigned long long)n);
    print(f[CASE_TYPE], "%u", 1 + below(s, 2));
    print(f[ZIP_CODE], "%s", region->zip);
    const char *road = PICK(s, roads);
    print(f[ADDRESS], "%s%s%s%s%u号%u幢%u室", region->province, region->city, region->district, road,
          1 + below(s, 300), 1 + below(s, 20), 101 + below(s, 2000));

    person(s, f[CONTACT_NAME]);
    print(f[CONTACT_PAGE_TYPE], "111"); /* GA/T 2000.156: resident identity card */
    citizen_number(s, f[CONTACT_PAGE_CODE]);
    print(f[CONTACT_MOBILE], "1%c%u%08u", "3578"[below(s, 4)], below(s, 10), below(s, 100000000));
    if (below(s, 100) < 30) {
        const char *style = PICK(s, styles), *trade = PICK(s, trades);
        print(f[APPLYER_NAME], "%s%s%s有限公司", region->city[0] ? region->city : region->province, style,
              trade);
        print(f[APPLYER_TYPE], "2");
        print(f[APPLYER_PAGE_TYPE], "001"); /* unified social credit code */
        credit_code(s, "91", region->code, f[APPLYER_PAGE_CODE]);
        person(s, f[LEGAL_MAN]);
    } else {
        print(f[APPLYER_NAME], "%s", f[CONTACT_NAME]);
        print(f[APPLYER_TYPE], "1");
        print(f[APPLYER_PAGE_TYPE], "111");
        print(f[APPLYER_PAGE_CODE], "%s", f[CONTACT_PAGE_CODE]);
    }
    print(f[PROJECT_NAME], "%s%s", task->name, f[APPLYER_TYPE][0] == '2' ? "(企业)" : "(个人)");
}
