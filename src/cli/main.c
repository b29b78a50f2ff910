#include "cli/cli.h"

int main(int argc, char **argv)
{
    return fn_cli_main(argc, argv);
}
