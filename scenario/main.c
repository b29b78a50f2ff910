/* fengni-scenario: the reference business system of a government-service platform. */
#include "scenario.h"

#include <stdio.h>
#include <string.h>

static int usage(FILE *out)
{
    fprintf(
        out, "%s",
        scenario_text(
            "用法:\n"
            "  fengni-scenario generate [--seed N] [--cases N] [--out FILE]   生成办件 CSV\n"
            "  fengni-scenario main-job --instance DIR [--in FILE.csv] [--columns a,b] [--cases N] [--seed "
            "N] [--suite 2] [--kills N] [--json]\n"
            "                                                                 执行主要任务并给出报告\n",
            "usage:\n"
            "  fengni-scenario generate [--seed N] [--cases N] [--out FILE]   make cases as CSV\n"
            "  fengni-scenario main-job --instance DIR [--in FILE.csv] [--columns a,b] [--cases N] [--seed "
            "N] [--suite 2] [--kills N] [--json]\n"
            "                                                                 do the main job and report\n"));
    return out == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return usage(stdout);
    if (strcmp(argv[1], "generate") == 0) return scenario_generate(argc - 1, argv + 1);
    if (strcmp(argv[1], "main-job") == 0) return scenario_main_job(argc - 1, argv + 1);
    return usage(stderr);
}
