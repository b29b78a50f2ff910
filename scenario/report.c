/* What the main job tells, for people and for programs. */
#include "job.h"
#include "scenario.h"

#include <string.h>

bool job_passed(const struct job *j)
{
    return j->clear_values_found == 0 && leak_control_found(j) && j->lost == 0 &&
           j->kills == j->kills_wanted && j->untouched_good && j->tampered > 0 &&
           j->tampered == j->tampered_found && j->acknowledged >= j->rows.count;
}

static void json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static const char *json_bool(bool v)
{
    return v ? "true" : "false";
}

static double rate(size_t rows, double seconds)
{
    return seconds > 0 ? (double)rows / seconds : 0;
}

static void json_search(const struct job *j, FILE *out)
{
    fprintf(out, "\"clear_values_found\":%llu,\"clear_by_choice\":%llu,\"clear_before\":%llu,",
            (unsigned long long)j->clear_values_found, (unsigned long long)j->clear_by_choice,
            (unsigned long long)j->clear_before);
    fprintf(out, "\"values_searched\":%llu,\"control_found\":%s,\"control_planted\":%llu,",
            (unsigned long long)j->values_searched, json_bool(leak_control_found(j)),
            (unsigned long long)j->control_planted);
    fprintf(out, "\"files_searched\":%llu,\"bytes_searched\":%llu,\"log_bytes_searched\":%llu,",
            (unsigned long long)j->searched.files, (unsigned long long)j->searched.bytes,
            (unsigned long long)j->log_bytes);
}

void report_json(const struct job *j, FILE *out)
{
    fprintf(out, "{\"cases\":%zu,\"bad_lines\":%zu,", j->rows.count, j->rows.bad_lines);
    json_search(j, out);
    fprintf(out,
            "\"tampered\":%d,\"tampered_found\":%d,\"untouched_good\":%s,\"kills\":%d,\"acknowledged\":[",
            j->tampered, j->tampered_found, json_bool(j->untouched_good), j->kills);
    for (int i = 0; i < j->kills; i++) fprintf(out, "%s%zu", i ? "," : "", j->acknowledged_at[i]);
    fprintf(out,
            "],\"acknowledged_total\":%zu,\"lost\":%zu,\"seconds\":%.3f,\"rows_per_second_written\":%.0f,"
            "\"rows_per_second_read\":%.0f,\"tampering\":[",
            j->acknowledged, j->lost, j->seconds_ingest + j->seconds_read,
            rate(j->rows.count, j->seconds_ingest), rate(j->read_back, j->seconds_read));
    for (int i = 0; i < j->tampered; i++) {
        fprintf(out, "%s{\"kind\":", i ? "," : "");
        json_text(out, j->tamper[i].name_en);
        fprintf(out, ",\"found\":%s,\"told\":", json_bool(j->tamper[i].found));
        json_text(out, j->tamper[i].told);
        fputc('}', out);
    }
    fprintf(out, "],\"evidence\":");
    json_text(out, j->directory);
    fprintf(out, ",\"passed\":%s}\n", json_bool(job_passed(j)));
}

static void text_search(const struct job *j, bool zh)
{
    printf(
        zh ? "  明文残留            %llu 个值;检索 %llu 个值、%llu 个文件,%.1f MB(含数据库日志 %.1f MB);对照%s\n"
           : "  clear values found  %llu; searched for %llu values in %llu files, %.1f MB (%.1f MB of database "
             "log); control %s\n",
        (unsigned long long)j->clear_values_found, (unsigned long long)j->values_searched,
        (unsigned long long)j->searched.files, (double)j->searched.bytes / 1e6, (double)j->log_bytes / 1e6,
        leak_control_found(j) ? scenario_text("已找到", "found") : scenario_text("未找到!", "NOT FOUND"));
    if (j->searched.first[0]) printf("      %s\n", j->searched.first);
    if (j->clear_by_choice)
        printf(zh ? "      另有 %llu 个值也出现在您未选择保护的列中:%s\n"
                  : "      %llu more values stand in columns that were left clear: %s\n",
               (unsigned long long)j->clear_by_choice, j->clear_columns);
    if (j->clear_before)
        printf(zh ? "      另有 %llu 个值是配置文件或表结构中的用词\n"
                  : "      %llu more values are words of the configuration or of the schema\n",
               (unsigned long long)j->clear_before);
    if (j->searched.short_hits || j->searched.decoy_hits)
        printf(zh ? "      短值命中 %llu,诱饵命中 %llu(四比一)\n"
                  : "      short values hit %llu times, decoys %llu times (four to one)\n",
               (unsigned long long)j->searched.short_hits, (unsigned long long)j->searched.decoy_hits);
}

static void text_tampering(const struct job *j, bool zh)
{
    printf(zh ? "  篡改 / 发现         %d / %d(未篡改的副本%s)\n"
              : "  tampered / found    %d / %d (an untouched copy %s)\n",
           j->tampered, j->tampered_found,
           j->untouched_good ? scenario_text("校验无误", "verifies")
                             : scenario_text("校验不通过!", "DOES NOT VERIFY"));
    for (int i = 0; i < j->tampered; i++)
        printf("      %s %s: %s\n", j->tamper[i].found ? "✓" : "✗",
               scenario_text(j->tamper[i].name_zh, j->tamper[i].name_en), j->tamper[i].told);
}

void report_text(const struct job *j)
{
    bool zh = scenario_text("z", "e")[0] == 'z';
    printf(zh ? "\n重要数据存储及应用过程(指南工作流程 4)报告\n"
              : "\nReport: storing and using important data (workflow 4 of the guideline)\n");
    printf(zh ? "  办件                %zu 件(略过 %zu 行)\n"
              : "  cases               %zu (%zu lines left out)\n",
           j->rows.count, j->rows.bad_lines);
    text_search(j, zh);
    printf(zh ? "  密码设备被强杀      %d 次,当时已确认"
              : "  device killed       %d times, acknowledged by then",
           j->kills);
    for (int i = 0; i < j->kills; i++) printf(" %zu", j->acknowledged_at[i]);
    printf(zh ? "\n  确认 / 丢失         %zu / %zu\n" : "\n  acknowledged / lost %zu / %zu\n",
           j->acknowledged, j->lost);
    text_tampering(j, zh);
    printf(zh ? "  写入 / 读回         %.0f 行/秒 / %.0f 行/秒(共 %.1f 秒)\n"
              : "  written / read      %.0f rows/s / %.0f rows/s (%.1f s in all)\n",
           rate(j->rows.count, j->seconds_ingest), rate(j->read_back, j->seconds_read),
           j->seconds_ingest + j->seconds_read);
    printf(zh ? "  证据                %s\n" : "  evidence            %s\n", j->directory);
    printf(zh ? "  结论                %s\n" : "  result              %s\n",
           job_passed(j) ? scenario_text("全部符合", "everything holds")
                         : scenario_text("不符合", "DOES NOT HOLD"));
}
