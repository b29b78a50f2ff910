/* Commands of fengni-scenario; each parses its own arguments and returns the exit status. */
#ifndef SCENARIO_SCENARIO_H
#define SCENARIO_SCENARIO_H

int scenario_generate(int argc, char **argv);
int scenario_main_job(int argc, char **argv);

/* Chinese unless FENGNI_LANG=en. */
const char *scenario_text(const char *zh, const char *en);

#endif
