/* Commands of fengni-scenario; each parses its own arguments and returns the exit status. */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

int scenario_generate(int argc, char **argv);
int scenario_main_job(int argc, char **argv);

/* Chinese unless FENGNI_LANG=en. */
const char *scenario_text(const char *zh, const char *en);
/* A decimal number of at least `least` and nothing else; 0, or -1. */
int scenario_number(const char *text, unsigned long long least, unsigned long long *v);

#endif
