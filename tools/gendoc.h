#ifndef PGWEIR_TOOLS_GENDOC_H
#define PGWEIR_TOOLS_GENDOC_H

#include <stdbool.h>

/* The parts of the generator: each prints one file to standard output. */

/* A page of the manual in mdoc: "pgweir.1", "pgweir-top.1", "pgweir.ini.5". False: there is no such page. */
bool print_man(const char *page);

/* "bash", "zsh" or "fish". False: there is no such shell. */
bool print_completion(const char *shell);

#endif
